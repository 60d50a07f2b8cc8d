"""What a run needs of the machine. Nothing is installed: what is missing is said."""
import glob
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from measure.contender import PACKAGES, Contender
from measure.processes import Trouble, note

BENCH = Path(__file__).resolve().parent.parent


def missing_of(c: Contender) -> list[str]:
    """The programs and modules that this contender lacks."""
    lacks = [p for p in (*c.programs, *(["go"] if set(c.built) - {"relay-c"} else [])) if not shutil.which(p)]
    return lacks + [m for m in c.modules if not glob.glob(f"/usr/lib/*/kamailio/modules/{m}.so") + glob.glob(f"/usr/lib*/kamailio/modules/{m}.so")]


def packages(lacks: Iterable[str]) -> str:
    return ", ".join(f"{m} ({PACKAGES[m]})" for m in sorted(set(lacks)))


def check(wanted: list[Contender], skip_missing: bool, programs: Iterable[str] = ("sipp", "go")) -> list[Contender]:
    """Those that can be measured; Trouble when one can't and is not to be skipped."""
    lacks = [p for p in programs if not shutil.which(p)]
    if lacks:
        raise Trouble(f"missing: {packages(lacks)}. Nothing can be measured without.")
    able = []
    for c in wanted:
        lacking = missing_of(c)
        if not lacking:
            able.append(c)
            continue
        lacks += lacking
        if skip_missing:
            note(f"leaving out {c.name}: missing {packages(lacking)}")
    if lacks and not skip_missing:
        raise Trouble(f"missing: {packages(lacks)}. In brackets Debian's packages; --skip-missing leaves out who needs them.")
    if not able:
        raise Trouble("nobody is left to be measured")
    return able


_built: set[Path] = set()


def build(names: set[str], into: Path) -> None:
    """Builds this repository's own programs, once in a run."""
    for name in sorted(names):
        if into / name in _built:
            continue
        note(f"building {name}")
        if name == "relay-c":
            command = ["cc", "-O2", "-Wall", "-o", str(into / name), str(BENCH / "peers/relay-c/relay.c")]
        else:
            package = "./cmd/dialgate" if name == "dialgate" else "./bench/probe" if name == "probe" else f"./bench/peers/{name}"
            command = ["go", "build", "-o", str(into / name), package]
        done = subprocess.run(command, cwd=BENCH.parent, capture_output=True, text=True, timeout=600)
        if done.returncode:
            raise Trouble(f"{' '.join(command)}:\n{done.stderr}")
        _built.add(into / name)
