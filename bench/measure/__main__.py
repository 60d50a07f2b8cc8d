"""run.sh and growth.sh come here."""
import argparse
import json
import signal
import sys
from dataclasses import replace
from pathlib import Path

from measure import growth, machine, needs, report, table
from measure.consent import Consent, default_root
from measure.contender import CONTENDERS, Contender
from measure.processes import Trouble, note, stop_all
from measure.stage import kept, stage

QUICK = table.Plan(rounds=2, parts=("cpu", "tcp", "latency"), calls=2000, warm=200, settle=1.5, workers=1, latency_rates=(1000,),
                   latency_seconds=2, latency_rounds=1, bound=90)
# Not to measure, but to see that everything still runs, on a machine however busy.
SMOKE = table.Plan(rounds=1, parts=("cpu", "tcp", "latency", "memory"), calls=100, rate=200, warm=50, settle=0.3, workers=1, latency_rates=(200,),
                   latency_seconds=0.5, latency_rounds=1, minutes=0.05, bound=60,
                   resent=1)


def names(text: str) -> tuple[str, ...]:
    return tuple(filter(None, text.split(",")))


def arguments() -> argparse.Namespace:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--data", type=Path, default=default_root(), help="directory to keep the numbers in (default: BENCH_DATA, or made and removed)")
    common.add_argument("--bin", type=Path, help="directory with programs built before, or to keep them in (default: built and removed)")
    common.add_argument("--out", type=Path, default=Path("bench-results"), help="directory for results.json and table.md, or growth.json and the plots")
    common.add_argument("--rounds", type=int, help="how often everybody has a turn")
    common.add_argument("--calls", type=int, help="calls in a measured run")
    common.add_argument("--skip-missing", action="store_true", help="leave out contenders whose programs are missing")
    p = argparse.ArgumentParser(prog="bench/run.sh", description="Measures dialgate beside its peers as whole processes, on loopback.")
    sub = p.add_subparsers(dest="what", required=True)
    t = sub.add_parser("table", prog="bench/run.sh", parents=[common], help="the whole table")
    t.add_argument("--quick", action="store_true", help="a first look: two rounds of 2,000 calls, one rate of latency, one worker, no highest rate")
    t.add_argument("--smoke", action="store_true", help="one short round on 1,000 numbers, to see that the bench works")
    t.add_argument("--only", type=names, help=f"parts: {', '.join(table.PARTS)}")
    t.add_argument("--of", type=names, help=f"contenders: {', '.join(c.name for c in CONTENDERS)}")
    t.add_argument("--with", dest="more", action="append", default=[], metavar="NAME=COMMAND", help="one more contender (README: the contract)")
    t.add_argument("--numbers", type=int, help="numbers in the consent set (1,000,000)")
    t.add_argument("--workers", type=int, help="Kamailio's workers; 0: the best of 1, 2 and 4")
    g = sub.add_parser("growth", prog="bench/growth.sh", parents=[common], help="how the cost grows")
    g.add_argument("--axes", type=names, default=growth.AXES, help=", ".join(growth.AXES))
    g.add_argument("--largest", type=int, default=10_000_000, help="greatest set of numbers")
    g.add_argument("--short", action="store_true", help="runs of 2,000 calls, and three rounds")
    g.add_argument("--plots", type=Path, help="directory for the plots (default: that of --out)")
    r = sub.add_parser("report", help="make the table of a results.json again")
    r.add_argument("file", type=Path)
    return p.parse_args()


def contenders(a: argparse.Namespace) -> list[Contender]:
    known = list(CONTENDERS)
    for more in a.more:
        name, _, command = more.partition("=")
        if not command:
            raise Trouble(f"--with {more}: NAME=COMMAND is wanted")
        known.append(Contender(name, name, command))
    if a.of:
        strange = set(a.of) - {c.name for c in known}
        if strange:
            raise Trouble(f"--of: there is no {', '.join(sorted(strange))}; there are {', '.join(c.name for c in known)}")
        known = [c for c in known if c.name in a.of or c.name in [m.partition('=')[0] for m in a.more]]
    return needs.check(known, a.skip_missing)


def run_table(a: argparse.Namespace) -> int:
    plan = SMOKE if a.smoke else QUICK if a.quick else table.Plan()
    changes = {"rounds": a.rounds, "calls": a.calls, "workers": a.workers, "parts": a.only}
    plan = replace(plan, **{k: v for k, v in changes.items() if v is not None})
    strange = set(plan.parts) - set(table.PARTS)
    if strange:
        raise Trouble(f"--only: there is no part {', '.join(sorted(strange))}; there are {', '.join(table.PARTS)}")
    able = contenders(a)
    a.out.mkdir(parents=True, exist_ok=True)
    count = a.numbers or (1000 if a.smoke else 1_000_000)
    with kept(a.data) as data, kept(a.bin) as bin_dir, stage(bin_dir, Consent(data, count)) as s:
        run = table.Run(plan, able, count, machine.describe(s.work), a.out / "results.json")
        try:
            table.carry_out(run, s)
        finally:
            run.write()
            text = report.document(json.loads(run.file.read_text()))
            (a.out / "table.md").write_text(text)
            print(text)
    return 0 if all(r["clean"] for r in run.records) else 1


def main() -> int:
    a = arguments()
    # What ends the run ends what it started, through the finally's on the way.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    try:
        if a.what == "report":
            print(report.document(json.loads(a.file.read_text())), end="")
            return 0
        return run_table(a) if a.what == "table" else growth.run(a)
    except Trouble as trouble:
        note(f"bench: {trouble}")
        return 2
    except KeyboardInterrupt:
        return 130
    finally:
        stop_all()


if __name__ == "__main__":
    sys.exit(main())
