import unittest
from typing import Any

from measure import growth, report
from measure.figures import Record


def record(part: str, contender: str, round_: int, **more: Any) -> Record:
    return {"part": part, "contender": contender, "transport": "udp", "round": round_, "kind": "allowed", "clean": True, "why": "", **more}


def cpu(contender: str, round_: int, us: float, sipp: float, **more: Any) -> Record:
    return record("cpu", contender, round_, us=us, rel=us / sipp, sipp_us=sipp, user_us=us / 2, system_us=us / 2, pss_mib=90.0, anonymous_mib=60.0,
                  foreign=0.1, rate=1000, **more)


def run(records: list[Record]) -> dict[str, Any]:
    return {"machine": {"processor": "2 x some"}, "minutes": 1.5, "numbers": 1000, "workers": {"kamailio": 2}, "records": records,
            "plan": {"rounds": 2, "rate": 1000, "latency_rates": [1000]},
            "contenders": [{"name": "dialgate-memory", "title": "dialgate"}, {"name": "kamailio", "title": "Kamailio"}]}


class Report(unittest.TestCase):
    def test_medians_ratios_and_workers(self) -> None:
        text = report.document(run([cpu("dialgate-memory", 0, 100, 200), cpu("kamailio", 0, 200, 200), cpu("dialgate-memory", 1, 330, 300),
                                    cpu("kamailio", 1, 300, 300)]))
        self.assertIn("| dialgate | 215.0 (100.0..330.0) |", text)
        self.assertIn("| Kamailio, 2 workers | 250.0 (200.0..300.0) | 125 + 125 | 1.00 (1.00..1.00) | 0.80 (0.50..1.10) | 90 | 60 | 2 |", text)
        self.assertIn("| allowed call, of Kamailio with a table in memory | <= 0.6 times | 0.80 (0.50..1.10) | 0.5 | no |", text)
        self.assertIn("Every run was clean.", text)

    def test_what_was_not_clean_is_listed_and_counts_for_nothing(self) -> None:
        text = report.document(run([cpu("kamailio", 0, 200, 200), cpu("kamailio", 1, 900, 200) | {"clean": False, "why": "200 1 of 2"},
                                    {"part": "cpu", "contender": "dialgate-memory", "transport": "udp", "round": 0, "clean": False, "why": "it ended"}]))
        self.assertIn("- cpu kamailio udp allowed 1000, round 2: 200 1 of 2", text)
        self.assertIn("- cpu dialgate-memory udp, round 1: it ended", text)
        self.assertIn("| Kamailio, 2 workers | 200.0 (200.0..200.0) |", text)
        self.assertNotIn("Every run was clean.", text)

    def test_nothing_measured_is_no_table(self) -> None:
        text = report.document(run([]))
        self.assertNotIn("### UDP", text)
        self.assertEqual(text.count("| not measured |"), 13)


class Growth(unittest.TestCase):
    def test_what_the_machine_did_falls_out_but_over_the_rate(self) -> None:
        def point(axis: str, x: int, us: float, sipp: float) -> Record:
            return cpu("dialgate-memory", 0, us, sipp) | {"part": axis, "x": x}
        # The machine was half as fast at the second point.
        records = [point("numbers", 1000, 100, 200), point("numbers", 10_000, 200, 400), point("rate", 100, 100, 200), point("rate", 300, 200, 400)]
        numbers, rate = (growth.lines(records, axis)["memory, allowed"] for axis in ("numbers", "rate"))
        self.assertEqual([f.mid for _, f, _ in numbers], [150, 150])
        self.assertEqual([f.mid for _, f, _ in rate], [100, 200])
        self.assertIn("medians 1.00 times apart", growth.flatness(numbers))
        self.assertIn("medians 2.00 times apart", growth.flatness(rate))
        self.assertEqual([x for x, *_ in growth.picture(records, "numbers").lines[0].points], [1000, 10_000])


if __name__ == "__main__":
    unittest.main()
