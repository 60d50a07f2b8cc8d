"""The goals that a run is held against, and whether it met them."""
from dataclasses import dataclass

from measure.figures import Figure, Record, difference, of, ratio

MINUTES = 10  # of the part memory


@dataclass(frozen=True)
class Goal:
    what: str
    bound: float
    unit: str
    got: Figure | None
    aim: float | None = None
    more: bool = False  # the bound is a lower one

    @property
    def met(self) -> str:
        if self.got is None:
            return "not measured"
        return "yes" if (self.got.mid > self.bound if self.more else self.got.mid <= self.bound) else "no"


def _cpu(name: str, kind: str, transport: str = "udp") -> dict[str, object]:
    return {"part": "cpu", "contender": name, "kind": kind, "transport": transport}


def _latency(records: list[Record], name: str) -> Figure | None:
    return of(records, "setup.p99_us", part="latency", contender=name, kind="allowed", transport="udp", rate=1000)


def _scaled(f: Figure | None, by: float) -> Figure | None:
    return f and Figure(f.mid * by, f.low * by, f.high * by, f.n)


def goals(records: list[Record]) -> list[Goal]:
    """The goals in the order of the project's own list."""
    def share(kind: str, of_whom: str, transport: str = "udp") -> Figure | None:
        return ratio(records, _cpu("dialgate-memory", kind, transport), _cpu(of_whom, kind, transport))

    def fastest(name: str) -> Figure | None:
        return of(records, "calls_s", part="rate", contender=name, kind="allowed", transport="udp")
    synced = of(records, "p99_us", part="disk")
    durable_bound = 1.5 * synced.mid / 1000 + 1 if synced else 1.0
    peers_rate = fastest("kamailio")
    growth = of(records, "growth", part="memory", contender="dialgate-memory")
    return [
        Goal("allowed call, of Kamailio with a table in memory", 0.6, "times", share("allowed", "kamailio"), aim=0.5),
        Goal("allowed call, of the bare relay in C", 2.0, "times", share("allowed", "relay-c")),
        Goal("refused call, of Kamailio's stateless refusal", 0.75, "times", share("refused", "kamailio"), aim=0.5),
        Goal("refused call, of Kamailio's refusal through a transaction", 0.5, "times", share("refused", "kamailio-tx")),
        Goal("durable ledger, more CPU for an allowed call", 25, "us",
             difference(records, _cpu("dialgate-durable", "allowed"), _cpu("dialgate-memory", "allowed"), "us")),
        Goal("durable ledger, more CPU for a refused call", 25, "us",
             difference(records, _cpu("dialgate-durable", "refused"), _cpu("dialgate-memory", "refused"), "us")),
        Goal("TCP, allowed call, of Kamailio's", 0.7, "times", share("allowed", "kamailio", "tcp")),
        Goal("TCP, refused call, of Kamailio's", 0.7, "times", share("refused", "kamailio", "tcp")),
        Goal("added latency at 1,000 calls/s, p99, ledger in memory", 0.3, "ms", _scaled(_latency(records, "dialgate-memory"), 1e-3)),
        Goal("the same, durable: 1.5 x the disk's fdatasync p99 + 1 ms", round(durable_bound, 2), "ms",
             _scaled(_latency(records, "dialgate-durable"), 1e-3)),
        Goal("highest clean rate, above Kamailio's", peers_rate.mid if peers_rate else 0.0, "calls/s",
             fastest("dialgate-memory") if peers_rate else None, more=True),
        Goal("memory at 1,000 calls/s, PSS", 100, "MiB", of(records, "pss_mib", **_cpu("dialgate-memory", "allowed"))),
        Goal(f"memory after {MINUTES} minutes, of that after a third of them", 1.05, "times", growth),
    ]
