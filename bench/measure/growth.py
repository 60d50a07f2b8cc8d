"""How dialgate's cost grows: over the numbers on file, the calls a second, the
campaigns with their caller numbers, and the cores it may use."""
import argparse
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from measure import cpu, figures, machine, needs, plot, table
from measure.consent import Consent
from measure.contender import CONTENDERS, Contender
from measure.cpu import Record
from measure.figures import Figure
from measure.processes import Trouble, limit, note
from measure.stage import Stage, kept, stage

AXES = ("numbers", "rate", "campaigns", "cores")
TITLES = {"numbers": "numbers on file", "rate": "calls a second", "campaigns": "campaigns, each with its caller number", "cores": "cores it may use"}
POINTS: dict[str, tuple[int, ...]] = {"numbers": (1_000, 10_000, 100_000, 1_000_000, 10_000_000), "rate": (100, 300, 1000, 2000, 3000),
                                      "campaigns": (1, 10, 100, 1000), "cores": (1, 2)}
# One rate has one cost of the load generator, in whose units the axes other
# than rate can be told apart from what the machine did meanwhile.
USUAL = {"numbers": 1_000_000, "rate": 1000}


@dataclass
class Growth:
    rounds: int
    calls: int
    seconds: float       # of a run on the axis rate
    short: bool
    out: Path
    machine: dict[str, str] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)

    def add(self, axis: str, x: int, contender: str, round_: int, record: Record) -> None:
        self.records.append({"part": axis, "x": x, "contender": contender, "round": round_, **record})
        if record["clean"]:
            note(f"{axis} {x:,}: {contender} {record['kind']} {record['us']:.0f} us a call, {record['rel']:.2f} of sipp's, foreign {record['foreign']:.2f}")
        else:
            note(f"NOT CLEAN: {axis} {x:,} {contender}: {record['why']}")
        (self.out / "growth.json").write_text(json.dumps(
            {"machine": self.machine, "rounds": self.rounds, "calls": self.calls, "records": self.records}, indent=1) + "\n")


def run(a: argparse.Namespace) -> int:
    strange = set(a.axes) - set(AXES)
    if strange:
        raise Trouble(f"--axes: there is no {', '.join(sorted(strange))}; there are {', '.join(AXES)}")
    able = needs.check([c for c in CONTENDERS if "dialgate" in c.built], False, ("sipp", "go", *(["taskset"] if "cores" in a.axes else [])))
    a.out.mkdir(parents=True, exist_ok=True)
    g = Growth(a.rounds or (3 if a.short else 5), a.calls or (2000 if a.short else 10_000), 2 if a.short else 8, a.short, a.out)
    with kept(a.data) as data, kept(a.bin) as bin_dir:
        for axis in a.axes:
            points = [x for x in POINTS[axis] if axis != "numbers" or x <= a.largest]
            AXIS[axis](g, able, points, data, bin_dir, min(USUAL["numbers"], a.largest))
    plots = a.plots or a.out
    plots.mkdir(parents=True, exist_ok=True)
    for axis in a.axes:
        (plots / f"growth-{axis}.svg").write_text(plot.draw(picture(g.records, axis)))
    text = document(g)
    (a.out / "growth.md").write_text(text)
    print(text)
    return 0 if all(r["clean"] for r in g.records) else 1


@contextmanager
def ready(g: Growth, contenders: list[Contender], data: Path, bin_dir: Path, numbers: int) -> Iterator[Stage]:
    with stage(bin_dir, Consent(data, numbers)) as s:
        with limit(600 + numbers / 1000, "the preparation"):
            table.prepare(s, contenders)
        g.machine = g.machine or machine.describe(s.work)
        yield s


def turn(g: Growth, s: Stage, c: Contender, axis: str, x: int, round_: int, rates: list[float]) -> None:
    """One start of a contender, and a run of each kind at each rate."""
    try:
        with limit(60 + len(rates) * (2 * g.seconds + 40), f"{axis} {x}"), table.up(s, c) as (proxy, carrier):
            cpu.warm(s, proxy, 200 if g.short else 1000)
            for rate in rates:
                calls = int(rate * g.seconds) if axis == "rate" else g.calls
                for kind in c.kinds:
                    r = cpu.measure(s, proxy, carrier, kind, rate, max(calls, 200), 1 if g.short else 3)
                    g.add(axis, int(rate) if axis == "rate" else x, c.name, round_, r)
    except (Trouble, OSError) as trouble:
        g.add(axis, x, c.name, round_, {"clean": False, "why": str(trouble)})


def over_numbers(g: Growth, able: list[Contender], points: list[int], data: Path, bin_dir: Path, _: int) -> None:
    # Stores are used in place here, so they are not those that others copy.
    data = data / "in-place"
    for i in range(g.rounds):
        for x in points if i % 2 == 0 else points[::-1]:
            with ready(g, able[:1], data, bin_dir, x) as s:
                s.env["BENCH_IN_PLACE"] = "1"
                s.called = i * 1_000_000  # the store remembers earlier rounds: call others
                turn(g, s, able[0], "numbers", x, i, [1000])


def over_rate(g: Growth, able: list[Contender], points: list[int], data: Path, bin_dir: Path, numbers: int) -> None:
    with ready(g, able, data, bin_dir, numbers) as s:
        for i in range(g.rounds):
            for c in able if i % 2 == 0 else able[::-1]:
                turn(g, s, c, "rate", 0, i, [float(x) for x in (points if i % 2 == 0 else points[::-1])])


def over_campaigns(g: Growth, able: list[Contender], points: list[int], data: Path, bin_dir: Path, numbers: int) -> None:
    with ready(g, able[:1], data, bin_dir, numbers) as s:
        for i in range(g.rounds):
            for x in points if i % 2 == 0 else points[::-1]:
                s.campaigns = x
                turn(g, s, able[0], "campaigns", x, i, [1000])


def over_cores(g: Growth, able: list[Contender], points: list[int], data: Path, bin_dir: Path, numbers: int) -> None:
    with ready(g, able, data, bin_dir, numbers) as s:
        for i in range(g.rounds):
            for x in points if i % 2 == 0 else points[::-1]:
                if x > (os.cpu_count() or 1):
                    continue
                s.prefix = f"taskset -c 0-{x - 1}"
                for c in able if i % 2 == 0 else able[::-1]:
                    turn(g, s, c, "cores", x, i, [1000])


AXIS = {"numbers": over_numbers, "rate": over_rate, "campaigns": over_campaigns, "cores": over_cores}


def lines(records: list[Record], axis: str) -> dict[str, list[tuple[int, Figure, Record]]]:
    """What is drawn of an axis: for each contender and kind its points. But for
    the axis rate they are in units of sipp's CPU, times what a call cost sipp in
    the middle of all runs: what the machine did to a run falls out."""
    usable = figures.pick(records, part=axis)
    out: dict[str, list[tuple[int, Figure, Record]]] = {}
    for contender in dict.fromkeys(r["contender"] for r in usable):
        for kind in ("allowed", "refused"):
            of_kind = [r for r in usable if r["contender"] == contender and r["kind"] == kind]
            middle = figures.figure(r["sipp_us"] for r in of_kind)
            points = []
            for x in sorted({r["x"] for r in of_kind}):
                at = [r for r in of_kind if r["x"] == x]
                scaled = figures.figure(r["us"] if axis == "rate" or middle is None else r["rel"] * middle.mid for r in at)
                if scaled:
                    points.append((x, scaled, {f: figures.figure(r[f] for r in at) for f in ("us", "rel", "pss_mib", "anonymous_mib", "foreign")}))
            if points:
                out[f"{contender.removeprefix('dialgate-')}, {kind}"] = points
    return out


def picture(records: list[Record], axis: str) -> plot.Picture:
    return plot.Picture(f"CPU a call over {TITLES[axis]}", TITLES[axis], "us a call", axis != "cores",
                        [plot.Line(name, [(x, f.mid, f.low, f.high) for x, f, _ in points]) for name, points in lines(records, axis).items()])


def flatness(points: list[tuple[int, Figure, Record]]) -> str:
    """How far the medians lie apart, beside how far single rounds do."""
    mids = [f.mid for _, f, _ in points]
    noise = figures.figure(f.high / f.low for _, f, _ in points)
    apart = max(mids) / min(mids)
    return f"medians {apart:.2f} times apart, rounds at one point {noise.mid:.2f} times" if noise else "-"


def document(g: Growth) -> str:
    out: list[str] = []
    for axis in dict.fromkeys(r["part"] for r in g.records):
        out += [f"### Over {TITLES[axis]}", "", "| | " + TITLES[axis] + " | CPU us a call | in units of sipp's | PSS MiB | anonymous | others' share of a core | rounds |",
                "|---|---|---|---|---|---|---|---|"]
        for name, points in lines(g.records, axis).items():
            for x, _, raw in points:
                out.append(f"| {name} | {x:,} | {_text(raw['us'], 0)} | {_text(raw['rel'], 2)} | {_text(raw['pss_mib'], 0)} | {_text(raw['anonymous_mib'], 0)} | {_text(raw['foreign'], 2)} | {raw['us'].n} |")
        out += ["", *(f"- {name}: {flatness(points)}" for name, points in lines(g.records, axis).items()), ""]
    bad = [f"- {r['part']} {r['x']:,} {r['contender']}, round {r['round'] + 1}: {r['why']}" for r in g.records if not r["clean"]]
    out += ["Not clean:", "", *bad, ""] if bad else ["Every run was clean.", ""]
    out += [f"- {k}: {v}" for k, v in g.machine.items()]
    return "\n".join(out) + "\n"


def _text(f: Any, digits: int) -> str:
    return f.text(digits) if isinstance(f, Figure) else "-"
