import sqlite3
import tempfile
import unittest
from pathlib import Path

from measure.consent import FILES, Consent, number


class Numbers(unittest.TestCase):
    def setUp(self) -> None:
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.set = Consent(Path(made.name), 500)
        self.file = Path(made.name) / "calls.csv"

    def rows(self, kind: str, first: int, calls: int, campaigns: int = 1) -> list[list[str]]:
        self.told = self.set.calls(self.file, kind, first, calls, campaigns)
        return [line.split(";") for line in self.file.read_text().splitlines()[1:]]

    def test_dutch_mobile_numbers_each_once(self) -> None:
        seen = {number(i) for i in range(20_000)}
        self.assertEqual(len(seen), 20_000)
        self.assertTrue(all(len(n) == 12 and n.startswith("+316") for n in seen))

    def test_who_is_allowed_is_on_file_and_who_is_refused_is_not(self) -> None:
        on_file = {number(i) for i in range(500)}
        self.assertTrue({called for called, _, _ in self.rows("allowed", 0, 500)} == on_file)
        self.assertEqual(self.told, (500, 0))
        self.assertFalse({called for called, _, _ in self.rows("refused", 0, 5000)} & on_file)
        self.assertEqual(self.told, (0, 5000))
        mixed = self.rows("mixed", 0, 100)
        self.assertEqual(self.told, (80, 20))
        self.assertEqual({called in on_file for called, kind, _ in mixed if kind == "A"}, {True})

    def test_later_calls_go_to_other_numbers_and_campaigns_take_turns(self) -> None:
        first, second = self.rows("allowed", 0, 200, 10), self.rows("allowed", 200, 200, 10)
        self.assertFalse({r[0] for r in first} & {r[0] for r in second})
        self.assertEqual(len({r[2] for r in first}), 10)

    def test_every_form_holds_the_same_numbers(self) -> None:
        self.set.make(set(FILES))
        lines = self.set.dir.joinpath("consent.txt").read_text().split()
        with_header = self.set.dir.joinpath("facts.csv").read_text().splitlines()
        asked = self.set.dir.joinpath("consent.resp").read_bytes().decode().split("\r\n")
        db = sqlite3.connect(self.set.dir / "consent.sqlite")
        self.addCleanup(db.close)
        self.assertEqual(lines, [number(i) for i in range(500)])
        self.assertEqual([r.split(",")[1] for r in with_header[1:]], lines)
        self.assertEqual(asked[4::7], lines)
        self.assertEqual({n for n, in db.execute("select key_name from consent")}, set(lines))


if __name__ == "__main__":
    unittest.main()
