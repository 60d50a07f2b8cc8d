"""CPU time and memory of a proxy for calls at one rate."""
import time
from dataclasses import asdict
from typing import Any

from measure import processes
from measure.processes import Use
from measure.sipp import Carrier, Dialled, Each, dial
from measure.stage import Proxy, Stage

Record = dict[str, Any]


class Memory(Each):
    """The memory of a family every so often."""

    def __init__(self, root: int, every: float) -> None:
        self._root, self._every, self._next = root, every, every
        self.seen: list[tuple[float, float]] = []

    def moment(self, seconds: float) -> None:
        if seconds >= self._next:
            self.seen.append((round(seconds, 1), processes.memory(self._root)[0]))
            self._next += self._every


def warm(stage: Stage, proxy: Proxy, calls: int) -> None:
    """Calls that are not measured: caches, pools and connections come up."""
    for kind in proxy.contender.kinds:
        dial(stage, kind, 500, calls)
    time.sleep(0.3)


def measure(stage: Stage, proxy: Proxy, carrier: Carrier, kind: str, rate: float, calls: int, settle: float,
            redis: int | None = None, each: Each | None = None) -> Record:
    """One run: CPU of the proxy's family from before the first call until settle
    seconds after the last, with that of its Redis server."""
    roots = [proxy.process.pid] + ([redis] if redis is not None and proxy.contender.redis else [])
    before, carried, busy = [Use(r) for r in roots], Use(carrier.process.pid), processes.machine_busy()
    d: Dialled = dial(stage, kind, rate, calls, each)
    busy = processes.machine_busy() - busy
    proxy.check()
    during = sum(sum(Use(r).since(b)[:2]) for r, b in zip(roots, before)) / 1e9
    memory = [processes.memory(r) for r in roots]
    time.sleep(settle)
    user = system = 0.0
    why = d.why
    for r, b in zip(roots, before):
        u, s, lost = Use(r).since(b)
        user, system = user + u, system + s
        why = why or ("a process was lost" if lost else "")
    carrier_us = sum(Use(carrier.process.pid).since(carried)[:2]) / 1e3 / calls
    us, sipp_us = (user + system) / 1e3 / calls, d.cpu_us_call + carrier_us
    ours = during + (d.cpu_us_call + carrier_us) * calls / 1e6
    record = asdict(d)
    record.update(kind=kind, rate=rate, us=round(us, 2), user_us=round(user / 1e3 / calls, 2), system_us=round(system / 1e3 / calls, 2),
                  carrier_us=round(carrier_us, 2), sipp_us=round(sipp_us, 2), rel=round(us / max(sipp_us, 0.01), 4),
                  yard_us=round(stage.yard.us(), 3), proxy_share=round(during / d.seconds, 3), pss_mib=round(sum(m for m, _ in memory), 1),
                  anonymous_mib=round(sum(m for _, m in memory), 1),
                  cpu_share=round(d.cpu_share, 3), foreign=round(max(0.0, busy - ours) / d.seconds, 3), clean=not why, why=why)
    return record
