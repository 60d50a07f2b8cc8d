"""The highest rate at which every call still ends as it must."""
from measure import cpu
from measure.contender import Contender
from measure.cpu import Record
from measure.processes import TimeLimit, Trouble, note
from measure.sipp import RING_MS, Carrier
from measure.stage import Proxy, Stage

LOWEST = 100.0


class Ladder:
    """A proxy and a carrier on which one rate after another is tried."""

    def __init__(self, stage: Stage, contender: Contender, kind: str, seconds: float, redis: int | None) -> None:
        self._stage, self._contender, self._kind, self._seconds, self._redis = stage, contender, kind, seconds, redis
        self._begin()

    def _begin(self) -> None:
        self._proxy = Proxy(self._stage, self._contender)
        self._carrier = Carrier(self._stage)
        cpu.warm(self._stage, self._proxy, 500)

    def end(self) -> None:
        self._carrier.stop()
        self._proxy.stop()

    def step(self, rate: float) -> Record | None:
        """The figures at a rate, if it was clean and reached. One that was not is
        tried once more with everything begun afresh: what an overload leaves
        behind must not weigh on what comes next."""
        for _ in range(2):
            try:
                r = cpu.measure(self._stage, self._proxy, self._carrier, self._kind, rate, int(rate * self._seconds), 0.5, self._redis)
                reached = r["calls"] / r["seconds"]
                clean = r["clean"] and reached > 0.93 * rate * self._seconds / (self._seconds + RING_MS / 1000)
                why = r["why"] or f"{reached:.0f}/s were reached"
            except TimeLimit:
                raise
            except Trouble as trouble:
                clean, r, why = False, {}, str(trouble)
            note(f"{self._contender.name} at {rate:.0f} calls/s: {'clean' if clean else why}")
            if clean:
                return r
            self.end()
            self._begin()
        return None


def highest(stage: Stage, contender: Contender, kind: str, first: float, seconds: float, redis: int | None) -> Record:
    """Climbs or falls by a third until a step that is clean and one that is not
    are known, then halves the gap to a twentieth."""
    best: Record = {}
    low, high, rate = 0.0, float("inf"), first
    ladder = Ladder(stage, contender, kind, seconds, redis)
    try:
        while LOWEST <= rate < 60_000 and high - low > low / 20:
            r = ladder.step(rate)
            if r is not None:
                low, best = rate, r
            else:
                high = rate
            rate = low * 4 / 3 if high == float("inf") else (low + high) / 2 if low else high * 2 / 3
    finally:
        ladder.end()
    if not best:
        return {"kind": kind, "clean": False, "why": f"not clean at {high:.0f} calls/s either"}
    return {"kind": kind, "clean": True, "why": "", "calls_s": round(low), "proxy_share": best["proxy_share"], "dialer_share": best["cpu_share"],
            "carrier_share": round(best["carrier_us"] * low / 1e6, 3), "us": best["us"]}
