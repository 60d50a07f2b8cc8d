"""The table of a run, in Markdown, made from its file alone."""
from typing import Any

from measure.figures import Figure, Record, of, pick, ratio
from measure.goals import goals

NAMES = {"udp": "UDP", "tcp": "TCP"}


def _row(*cells: object) -> str:
    return "| " + " | ".join(str(c) for c in cells) + " |"


def _head(*cells: str) -> list[str]:
    return [_row(*cells), "|" + "---|" * len(cells)]


def _text(f: Figure | None, digits: int = 1) -> str:
    return f.text(digits) if f else "-"


def _mid(f: Figure | None, digits: int = 1) -> str:
    return f"{f.mid:,.{digits}f}" if f else "-"


def _title(run: dict[str, Any], name: str) -> str:
    title = next((c["title"] for c in run["contenders"] if c["name"] == name), name)
    workers = run["workers"].get(name)
    return f"{title}, {workers} worker{'s' if workers != 1 else ''}" if workers else str(title)


def _names(run: dict[str, Any]) -> list[str]:
    return [c["name"] for c in run["contenders"]]


def cpu_table(run: dict[str, Any], transport: str) -> list[str]:
    records: list[Record] = run["records"]
    base = "dialgate-memory"
    out: list[str] = []
    for kind in ("allowed", "refused"):
        rows = []
        for name in _names(run):
            want: dict[str, object] = {"part": "cpu", "contender": name, "transport": transport, "kind": kind}
            us = of(records, "us", **want)
            if us is None:
                continue
            share = ratio(records, {**want, "contender": base}, want)
            rows.append(_row(_title(run, name), us.text(), f"{_mid(of(records, 'user_us', **want), 0)} + {_mid(of(records, 'system_us', **want), 0)}",
                             _text(of(records, "rel", **want), 2), _text(share, 2) if name != base else "1",
                             _mid(of(records, "pss_mib", **want), 0), _mid(of(records, "anonymous_mib", **want), 0), us.n))
        if rows:
            out += [f"### {NAMES[transport]}, {kind} calls", "",
                    *_head("", "CPU us a call", "user + system", "in units of sipp's", "dialgate's share of it", "PSS MiB", "anonymous", "rounds"), *rows, ""]
    return out


def latency_table(run: dict[str, Any], transport: str) -> list[str]:
    records: list[Record] = run["records"]
    rows = []
    for name in ("direct", *_names(run)):
        for rate in run["plan"]["latency_rates"]:
            want: dict[str, object] = {"part": "latency", "contender": name, "transport": transport, "rate": rate}
            through: dict[str, object] = {**want, "kind": "allowed"}
            refused: dict[str, object] = {**want, "kind": "refused"}
            unclean = sum(not r["clean"] for r in records if all(r.get(k) == v for k, v in want.items()))
            if not pick(records, **want) and not unclean:
                continue
            rows.append(_row(_title(run, name) if name != "direct" else "no proxy: the prober's floor", f"{rate:,.0f}",
                             _mid(of(records, "setup.p50_us", **through), 0), _text(of(records, "setup.p99_us", **through), 0),
                             _mid(of(records, "refusal.p50_us", **refused), 0), _text(of(records, "refusal.p99_us", **refused), 0), unclean or ""))
    if not rows:
        return []
    return [f"### {NAMES[transport]}, added latency, us", "",
            *_head("", "calls/s", "set-up p50", "set-up p99", "refusal p50", "refusal p99", "not clean"), *rows, ""]


def rate_table(run: dict[str, Any]) -> list[str]:
    rows = [_row(_title(run, r["contender"]), f"{r['calls_s']:,}", r["proxy_share"], r["dialer_share"], r["carrier_share"])
            for r in pick(run["records"], part="rate")]
    if not rows:
        return []
    return ["### Highest clean rate", "", *_head("", "calls/s", "cores: proxy", "dialer", "carrier"), *rows, ""]


def memory_table(run: dict[str, Any]) -> list[str]:
    rows = []
    for r in pick(run["records"], part="memory"):
        seen = r["seen"]
        at = [seen[min(len(seen) - 1, len(seen) * i // 4)] for i in range(5)] if seen else []
        rows.append(_row(_title(run, r["contender"]), ", ".join(f"{m:.0f} at {s / 60:.1f} min" for s, m in at), r["calls"]))
    if not rows:
        return []
    return ["### Memory over time, MiB", "", *_head("", "PSS", "calls"), *rows, ""]


def goals_table(run: dict[str, Any]) -> list[str]:
    rounds = run["plan"]["rounds"]
    out = ["### Goals", "", f"As medians of {rounds} round{'s' if rounds != 1 else ''}; they are meant for five or more.", "", *_head("goal", "bound", "measured", "aim", "met")]
    for g in goals(run["records"]):
        digits = 2 if g.unit in ("times", "ms") else 0
        out.append(_row(g.what, f"{'>' if g.more else '<='} {g.bound:,g} {g.unit}", _text(g.got, digits), g.aim or "", g.met))
    return [*out, ""]


def troubles(run: dict[str, Any]) -> list[str]:
    out = []
    for r in run["records"]:
        if not r["clean"]:
            what = " ".join(str(r[k]) for k in ("part", "contender", "transport", "kind", "rate") if k in r)
            out.append(f"- {what}, round {r['round'] + 1}: {r['why']}")
    return out


def document(run: dict[str, Any]) -> str:
    plan = run["plan"]
    foreign = of(run["records"], "foreign", part="cpu")
    out = [f"## dialgate and its peers, {run['numbers']:,} numbers, {plan['rate']:,.0f} calls/s", "",
           "Medians (lowest..highest) of the clean rounds; every contender has its turn in every round, in turn forwards and backwards."
           " Ratios are taken inside a round, in units of the CPU that sipp used in the same run.", ""]
    for transport in ("udp", "tcp"):
        out += cpu_table(run, transport) + latency_table(run, transport)
    disk = of(run["records"], "p99_us", part="disk")
    if disk:
        out += [f"fdatasync of 1 KiB on the disk of the stores: p50 {_mid(of(run['records'], 'p50_us', part='disk'), 0)} us, p99 {disk.text(0)} us.", ""]
    out += rate_table(run) + memory_table(run) + goals_table(run)
    bad = troubles(run)
    out += ["### Runs that were not clean", "", *bad, ""] if bad else ["Every run was clean.", ""]
    out += ["### Machine", "", *(f"- {k}: {v}" for k, v in run["machine"].items()),
            f"- other processes during the runs: {_text(foreign, 2)} of a core", f"- the whole took {run['minutes']} minutes"]
    return "\n".join(out) + "\n"
