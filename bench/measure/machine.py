"""The machine of a run, and the versions of what ran on it."""
import os
import platform
import shutil
import subprocess
import time
from pathlib import Path

from measure import sipp
from measure.needs import BENCH


def _line(*command: str) -> str:
    """The first line that a command says, or nothing."""
    if not shutil.which(command[0]):
        return ""
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, cwd=BENCH)
    return next(iter((done.stdout or done.stderr).strip().splitlines()), "")


def _from(path: str, key: str) -> str:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


def describe(work: Path) -> dict[str, str]:
    facts = {
        "when": time.strftime("%Y-%m-%d %H:%M %Z"),
        "processor": f"{os.cpu_count()} x {_from('/proc/cpuinfo', 'model name') or platform.machine()}",
        "memory": _from("/proc/meminfo", "MemTotal"),
        "system": f"{platform.system()} {platform.release()}",
        "file system of the stores": _line("stat", "-f", "-c", "%T", str(work)),
        "load when it began": " ".join(f"{x:.1f}" for x in os.getloadavg()),
        "dialgate": _line("git", "describe", "--always", "--dirty"),
        "go": _line("go", "version"),
        "cc": _line("cc", "--version"),
        "kamailio": _line("kamailio", "-v"),
        "redis": _line("redis-server", "--version"),
        "sipp": sipp.version(),
        "python": platform.python_version(),
    }
    return {k: v for k, v in facts.items() if v}
