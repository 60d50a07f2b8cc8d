import unittest
from typing import Any

from measure.figures import Record, difference, of, ratio
from measure.goals import goals


def cpu(contender: str, round_: int, rel: float, **more: Any) -> Record:
    return {"part": "cpu", "contender": contender, "transport": "udp", "kind": "allowed", "round": round_, "rel": rel, "us": rel * 100,
            "pss_mib": 50.0, "clean": True, "why": "", **more}


OURS, THEIRS = ({"part": "cpu", "contender": name} for name in ("dialgate-memory", "kamailio"))


class Figures(unittest.TestCase):
    def test_a_ratio_is_taken_inside_a_round(self) -> None:
        # The machine is three times as slow in round 1: it falls out.
        records = [cpu("dialgate-memory", 0, 1), cpu("kamailio", 0, 2), cpu("dialgate-memory", 1, 3), cpu("kamailio", 1, 6)]
        got = ratio(records, OURS, THEIRS)
        assert got is not None
        self.assertEqual((got.mid, got.low, got.high, got.n), (0.5, 0.5, 0.5, 2))

    def test_a_round_that_was_not_clean_counts_for_neither(self) -> None:
        records = [cpu("dialgate-memory", 0, 1), cpu("kamailio", 0, 4), cpu("dialgate-memory", 1, 1), cpu("kamailio", 1, 1, clean=False)]
        got = ratio(records, OURS, THEIRS)
        assert got is not None
        self.assertEqual((got.mid, got.n), (0.25, 1))
        self.assertIsNone(of(records, "rel", contender="nobody"))

    def test_difference_and_a_part_of_a_field(self) -> None:
        records = [cpu("a", 0, 2, setup={"p99_us": 7.0}), cpu("b", 0, 1)]
        got = difference(records, {"contender": "a"}, {"contender": "b"}, "us")
        deep = of(records, "setup.p99_us", contender="a")
        assert got is not None and deep is not None
        self.assertEqual((got.mid, deep.mid), (100, 7))


class Goals(unittest.TestCase):
    def met(self, records: list[Record], what: str) -> str:
        return next(g.met for g in goals(records) if g.what.startswith(what))

    def test_met_missed_and_not_measured(self) -> None:
        what = "allowed call, of Kamailio"
        for ours, want in ((0.59, "yes"), (0.61, "no")):
            self.assertEqual(self.met([cpu("dialgate-memory", 0, ours), cpu("kamailio", 0, 1)], what), want)
        self.assertEqual(self.met([cpu("dialgate-memory", 0, 0.1)], what), "not measured")

    def test_the_bound_of_the_durable_ledger_is_the_disks(self) -> None:
        disk: Record = {"part": "disk", "p99_us": 2000.0, "clean": True}
        for p99, want in ((3999.0, "yes"), (4001.0, "no")):
            late: Record = {"part": "latency", "contender": "dialgate-durable", "kind": "allowed", "transport": "udp", "rate": 1000,
                            "setup": {"p99_us": p99}, "clean": True}
            self.assertEqual(self.met([disk, late], "the same, durable"), want)

    def test_the_highest_rate_is_above_the_peers(self) -> None:
        def rate(name: str, calls: int) -> Record:
            return {"part": "rate", "contender": name, "kind": "allowed", "transport": "udp", "calls_s": calls, "clean": True}
        for ours, want in ((5001, "yes"), (5000, "no")):
            self.assertEqual(self.met([rate("dialgate-memory", ours), rate("kamailio", 5000)], "highest clean rate"), want)
        self.assertEqual(self.met([rate("dialgate-memory", 5000)], "highest clean rate"), "not measured")


if __name__ == "__main__":
    unittest.main()
