"""Medians, spreads and ratios of a run's records. Nothing here measures."""
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

Record = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """A median with what it lies between."""

    mid: float
    low: float
    high: float
    n: int

    def text(self, digits: int = 1) -> str:
        return f"{self.mid:,.{digits}f} ({self.low:,.{digits}f}..{self.high:,.{digits}f})"


def figure(values: Iterable[float]) -> Figure | None:
    v = sorted(values)
    return Figure(median(v), v[0], v[-1], len(v)) if v else None


def pick(records: list[Record], **want: object) -> list[Record]:
    """The clean records with these values."""
    return [r for r in records if r["clean"] and all(r.get(k) == v for k, v in want.items())]


def of(records: list[Record], field: str, **want: object) -> Figure | None:
    """One field of the clean records; a dot goes into a part of it."""
    head, _, tail = field.partition(".")
    return figure((r[head][tail] if tail else r[head]) for r in pick(records, **want) if head in r)


def pairs(records: list[Record], one: Mapping[str, object], other: Mapping[str, object], field: str) -> list[tuple[float, float]]:
    """A field of two contenders in the rounds in which both were clean."""
    left, right = ({r["round"]: float(r[field]) for r in pick(records, **want)} for want in (one, other))
    return [(left[i], right[i]) for i in sorted(left.keys() & right.keys())]


def ratio(records: list[Record], one: Mapping[str, object], other: Mapping[str, object], field: str = "rel") -> Figure | None:
    """One contender's share of another's, taken inside each round, so that what
    the machine did to both falls out."""
    return figure(a / b for a, b in pairs(records, one, other, field) if b)


def difference(records: list[Record], one: Mapping[str, object], other: Mapping[str, object], field: str) -> Figure | None:
    return figure(a - b for a, b in pairs(records, one, other, field))
