"""The consent set: made-up Dutch mobile numbers, the same on every run, in the
form that each contender reads; and the calls that are made to them.

Number i is on file when i < count. The numbers are used on loopback only.
"""
import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from measure.processes import note

POSSIBLE = 60_000_000
STRIDE = 7_368_787  # a prime: every number is called once before any is called again


def number(i: int) -> str:
    """06 followed by 1-5 or 8 and seven digits: 60 million numbers, each once."""
    n = i * 7919 % POSSIBLE
    return f"+316{'123458'[n // 10_000_000]}{n % 10_000_000:07d}"


def caller(i: int) -> str:
    """The number shown by campaign i."""
    return f"+{31_205_550_100 + i}"


@dataclass(frozen=True)
class Consent:
    """A set of numbers and the directory with its files."""

    root: Path
    count: int

    @property
    def dir(self) -> Path:
        return self.root / f"numbers-{self.count}"

    def make(self, forms: set[str]) -> None:
        """Writes the forms that are missing; one that was cut short is not there."""
        self.dir.mkdir(parents=True, exist_ok=True)
        for form in sorted(forms):
            path = self.dir / FILES[form][0]
            if not path.exists():
                note(f"writing {self.count:,} numbers as {path.name}")
                part = path.with_suffix(".part")
                part.unlink(missing_ok=True)
                FILES[form][1](part, self.count)
                part.rename(path)

    def calls(self, path: Path, kind: str, first: int, calls: int, campaigns: int = 1) -> tuple[int, int]:
        """Writes an injection file CALLED;KIND;CALLER and returns how many of its
        calls are to be let through and how many refused. Of kind mixed every fifth
        is refused. Calls that begin at another first go to other numbers."""
        through = 0
        with open(path, "w") as f:
            f.write("SEQUENTIAL\n")
            for k in range(first, first + calls):
                allowed = kind == "allowed" or (kind == "mixed" and k % 5 != 0)
                through += allowed
                i = k * STRIDE % self.count if allowed else self.count + k * STRIDE % (POSSIBLE - self.count)
                f.write(f"{number(i)};{'A' if allowed else 'B'};{caller(k % campaigns)}\n")
        return through, calls - through


def write_text(path: Path, count: int) -> None:
    with open(path, "w") as f:
        f.writelines(number(i) + "\n" for i in range(count))


def write_facts(path: Path, count: int) -> None:
    """What dialgate facts import reads."""
    with open(path, "w") as f:
        f.write("id,number,evidence.person,evidence.sha256\n")
        f.writelines(f"c{i},{number(i)},p{i},{i:064x}\n" for i in range(count))


def write_redis(path: Path, count: int) -> None:
    """Redis protocol: redis-cli --pipe < consent.resp"""
    with open(path, "w", newline="") as f:
        for i in range(count):
            n = number(i)
            f.write(f"*3\r\n$3\r\nSET\r\n${len(n)}\r\n{n}\r\n$1\r\n1\r\n")


def write_sqlite(path: Path, count: int) -> None:
    """A table with the columns of Kamailio's htable."""
    def rows() -> Iterator[tuple[str]]:
        for n in sorted(number(i) for i in range(count)):
            yield (n,)
    db = sqlite3.connect(path)
    try:
        db.execute("create table consent(key_name text primary key, key_type integer not null default 0,"
                   " value_type integer not null default 0, key_value text not null default '1',"
                   " expires integer not null default 0) without rowid")
        db.executemany("insert into consent(key_name) values (?)", rows())
        db.commit()
        db.execute("analyze")
        db.commit()
    finally:
        db.close()


FILES: dict[str, tuple[str, Callable[[Path, int], None]]] = {
    "text": ("consent.txt", write_text),
    "facts": ("facts.csv", write_facts),
    "redis": ("consent.resp", write_redis),
    "sqlite": ("consent.sqlite", write_sqlite),
}


def default_root() -> Path | None:
    return Path(os.environ["BENCH_DATA"]) if os.environ.get("BENCH_DATA") else None
