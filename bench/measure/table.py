"""The whole table: rounds in which every contender has its turn."""
import contextlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from measure import cpu, latency, machine, needs, processes, rate
from measure.contender import Contender
from measure.cpu import Record
from measure.goals import MINUTES
from measure.processes import Trouble, limit, note
from measure.sipp import Carrier
from measure.stage import Proxy, Stage, start_redis

PARTS = ("cpu", "tcp", "latency", "rate", "memory")


@dataclass(frozen=True)
class Plan:
    rounds: int = 5
    parts: tuple[str, ...] = PARTS
    calls: int = 10_000
    rate: float = 1000
    warm: int = 1000
    settle: float = 3
    workers: int = 0                       # of Kamailio; 0: the best of 1, 2 and 4
    latency_rates: tuple[float, ...] = (200, 1000, 2000)
    latency_seconds: float = 4
    latency_rounds: int = 3
    step_seconds: float = 4                # of the part rate
    minutes: float = MINUTES               # of the part memory
    bound: float = 900                     # seconds that one turn of one contender may take
    resent: float = 0.001                  # share of calls that a clean run may have had to repeat


@dataclass
class Run:
    """What a run has found so far; written to its file after every turn."""

    plan: Plan
    contenders: list[Contender]
    numbers: int
    machine: dict[str, str]
    file: Path
    records: list[Record] = field(default_factory=list)
    workers: dict[str, int] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)

    def add(self, part: str, contender: str, transport: str, round_: int, record: Record) -> None:
        record = {"part": part, "contender": contender, "transport": transport, "round": round_, **record}
        self.records.append(record)
        if not record["clean"]:
            note(f"NOT CLEAN: {part} {contender} {transport} {record.get('kind', '')}: {record['why']}")

    def write(self) -> None:
        whole: dict[str, Any] = {
            "machine": {**self.machine, "load when it ended": " ".join(f"{x:.1f}" for x in os.getloadavg())},
            "minutes": round((time.monotonic() - self.began) / 60, 1), "numbers": self.numbers,
            "plan": {k: v for k, v in vars(self.plan).items()}, "workers": self.workers,
            "contenders": [{"name": c.name, "title": c.title} for c in self.contenders], "records": self.records}
        part = self.file.with_suffix(".part")
        part.write_text(json.dumps(whole, indent=1) + "\n")
        part.rename(self.file)


@contextlib.contextmanager
def turn(run: Run, part: str, contender: str, transport: str, round_: int, seconds: float) -> Iterator[None]:
    """One turn of one contender: bounded in time, and its trouble is on record."""
    try:
        with limit(seconds, f"{part} of {contender}"):
            yield
    except (Trouble, OSError) as trouble:
        run.add(part, contender, transport, round_, {"clean": False, "why": str(trouble)})
    finally:
        run.write()


def prepare(stage: Stage, contenders: list[Contender]) -> None:
    """Numbers and programs, outside of all measuring."""
    built = {b for c in contenders for b in c.built} | {"probe"}
    needs.build(built, stage.bin)
    stage.consent.make({c.form for c in contenders} | {"text"})
    if any("dialgate" in c.built for c in contenders):
        import_facts(stage)


def import_facts(stage: Stage) -> None:
    """dialgate's store with the numbers in it, which its turns begin with a copy of."""
    if (stage.consent.dir / "dialgate-store").exists():
        return
    note(f"importing {stage.consent.count:,} consents into a store of dialgate")
    log = stage.work / "import.log"
    p = processes.start([str(needs.BENCH / "peers/dialgate.sh"), "--binary", str(stage.bin / "dialgate"), "--import-only"], cwd=stage.work,
                        env=dict(os.environ, BENCH_DATA=str(stage.consent.dir), TMPDIR=str(stage.work)), log=log)
    with processes.ending(p):
        status = p.wait()
    if status:
        raise Trouble(f"dialgate facts import: {log.read_text()[-800:]}")


def carry_out(run: Run, stage: Stage) -> None:
    """The parts of the plan, one after the other."""
    plan, parts = run.plan, run.plan.parts
    stage.resent = plan.resent
    with limit(600 + run.numbers / 1000, "the preparation"):
        prepare(stage, run.contenders)
        redis = start_redis(stage).pid if any(c.redis for c in run.contenders) else None
    choose_workers(run, stage, redis)
    for transport, part in (("udp", "cpu"), ("tcp", "tcp")):
        stage.transport = transport
        # Latency is taken at the same starts; by TCP when TCP is asked for.
        latency_rounds = plan.latency_rounds if "latency" in parts and (transport == "udp" or "tcp" in parts) else 0
        for i in range(max(plan.rounds if part in parts else 0, min(latency_rounds, plan.rounds))):
            one_round(run, stage, i, redis, part in parts, i < latency_rounds)
    stage.transport = "udp"
    if "rate" in parts:
        for c in run.contenders:
            if "allowed" in c.kinds:
                with turn(run, "rate", c.name, "udp", 0, plan.bound):
                    run.add("rate", c.name, "udp", 0, rate.highest(stage, c, "allowed", 2000, plan.step_seconds, redis))
    if "memory" in parts:
        for c in run.contenders:
            if "dialgate" in c.built:
                growth_of_memory(run, stage, c)


def one_round(run: Run, stage: Stage, i: int, redis: int | None, with_cpu: bool, with_latency: bool) -> None:
    """Everybody's turn: A B C, then C B A, so that who comes first gains nothing by it."""
    note(f"{stage.transport}, round {i + 1} of {run.plan.rounds}")
    if with_latency:
        direct(run, stage, i)
    for c in run.contenders if i % 2 == 0 else run.contenders[::-1]:
        latency_too = with_latency and "allowed" in c.kinds
        if stage.transport in c.transports and (with_cpu or latency_too):
            one_turn(run, stage, c, i, redis, with_cpu, latency_too)


def choose_workers(run: Run, stage: Stage, redis: int | None) -> None:
    """Kamailio is measured with the number of workers that costs it least."""
    plan = run.plan
    stage.transport = "udp"
    tried: dict[str, int] = {}
    for c in run.contenders:
        if "{workers}" not in c.command:
            continue
        alike = c.command.replace(" --stateful-reject", "")
        if plan.workers or alike in tried:
            run.workers[c.name] = stage.workers[c.name] = plan.workers or tried[alike]
            continue
        costs: dict[int, float] = {}
        for n in (1, 2, 4):
            stage.workers[c.name] = n
            with turn(run, "workers", c.name, "udp", n, plan.bound), up(stage, c) as (proxy, carrier):
                cpu.warm(stage, proxy, plan.warm)
                r = cpu.measure(stage, proxy, carrier, c.kinds[0], plan.rate, plan.calls // 2, plan.settle, redis)
                run.add("workers", c.name, "udp", n, r)
                if r["clean"]:
                    costs[n] = r["rel"]
        best = min(costs, key=lambda n: costs[n]) if costs else 1
        tried[alike] = run.workers[c.name] = stage.workers[c.name] = best
        note(f"{c.name}: {best} workers cost least, of {costs}")


@contextlib.contextmanager
def up(stage: Stage, c: Contender) -> Iterator[tuple[Proxy, Carrier]]:
    """A proxy with its carrier, both gone afterwards."""
    carrier = Carrier(stage)
    try:
        proxy = Proxy(stage, c)
        try:
            yield proxy, carrier
        finally:
            proxy.stop()
    finally:
        carrier.stop()


def direct(run: Run, stage: Stage, round_: int) -> None:
    """The prober's own floor."""
    for r in run.plan.latency_rates:
        with turn(run, "latency", "direct", stage.transport, round_, 120):
            run.add("latency", "direct", stage.transport, round_, latency.probe(stage, None, "allowed", r, int(r * run.plan.latency_seconds)))


def one_turn(run: Run, stage: Stage, c: Contender, round_: int, redis: int | None, with_cpu: bool, with_latency: bool) -> None:
    plan = run.plan
    transport = stage.transport
    with turn(run, "cpu", c.name, transport, round_, plan.bound), up(stage, c) as (proxy, carrier):
        cpu.warm(stage, proxy, plan.warm)
        for kind in c.kinds if with_cpu else ():
            r = cpu.measure(stage, proxy, carrier, kind, plan.rate, plan.calls, plan.settle, redis)
            run.add("cpu", c.name, transport, round_, r)
            note(f"{c.name:18} {kind:8} {r['us']:7.1f} us a call, {r['rel']:.2f} of sipp's, foreign {r['foreign']:.2f}")
        if not with_latency:
            return
        carrier.stop()
        if "durable" in c.name:
            run.add("disk", "disk", "", round_, latency.disk(stage.work))
        for rate_ in plan.latency_rates:
            for kind in c.kinds:
                run.add("latency", c.name, transport, round_, latency.probe(stage, proxy, kind, rate_, int(rate_ * plan.latency_seconds)))


def growth_of_memory(run: Run, stage: Stage, c: Contender) -> None:
    """Memory over minutes of calls, a fifth of them refused."""
    plan = run.plan
    seconds = plan.minutes * 60
    with turn(run, "memory", c.name, "udp", 0, seconds * 1.5 + 200), up(stage, c) as (proxy, carrier):
        cpu.warm(stage, proxy, plan.warm)
        memory = cpu.Memory(proxy.process.pid, seconds / 60)
        r = cpu.measure(stage, proxy, carrier, "mixed", plan.rate, int(plan.rate * seconds), plan.settle, None, memory)
        seen = [m for _, m in memory.seen]
        third = len(seen) // 3
        if third and plan.minutes >= MINUTES:  # in less, memory has not come to rest
            r["growth"] = round(max(seen[-3:]) / max(seen[third - 1:third + 2]), 3)
        run.add("memory", c.name, "udp", 0, {**r, "seen": memory.seen})


