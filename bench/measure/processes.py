"""Processes: started in sessions of their own, looked at through /proc, and
ended whatever happens to the run."""
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

TICK = os.sysconf("SC_CLK_TCK")
PATIENCE = 10.0  # seconds that a process has to end


def note(*words: object) -> None:
    """What the run is doing, beside its result."""
    print(time.strftime("%H:%M:%S"), *words, file=sys.stderr, flush=True)


class Trouble(Exception):
    """Something that makes a figure worthless; its text says what."""


class TimeLimit(Trouble):
    """A part took longer than it may."""


# ---- starting and ending ------------------------------------------------------

_running: list[subprocess.Popen[bytes]] = []


def start(command: list[str] | str, *, cwd: Path, env: dict[str, str] | None = None, log: Path | None = None) -> subprocess.Popen[bytes]:
    """Starts a command in a session of its own, which ^C does not reach: the run
    ends it in its own time."""
    with open(log or os.devnull, "ab") as out:
        p = subprocess.Popen(command, shell=isinstance(command, str), start_new_session=True, cwd=cwd, env=env,
                             stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
    _running.append(p)
    return p


def stop(p: subprocess.Popen[bytes]) -> None:
    """Ends a process with all of its session: SIGTERM, and after a while SIGKILL."""
    if p not in _running:
        return
    for sig in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(p.pid, sig)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            p.poll()
            if not session(p.pid):
                p.wait()  # nobody of its session lives
                forget(p)
                return
            time.sleep(0.02)


def forget(p: subprocess.Popen[bytes]) -> None:
    """Strikes a process that has ended by itself from those to be ended."""
    if p in _running:
        _running.remove(p)


@contextlib.contextmanager
def ending(p: subprocess.Popen[bytes]) -> Iterator[None]:
    """For a process that ends by itself inside, or is ended if that is left
    before its time."""
    try:
        yield
    finally:
        if p.returncode is None:
            stop(p)
        forget(p)


def stop_all() -> None:
    """Ends what is left, undisturbed by another ^C."""
    before = {s: signal.signal(s, signal.SIG_IGN) for s in (signal.SIGINT, signal.SIGTERM)}
    signal.setitimer(signal.ITIMER_REAL, 0)
    for p in list(_running):
        stop(p)
    for s, handler in before.items():
        signal.signal(s, handler)


@contextlib.contextmanager
def limit(seconds: float, what: str) -> Iterator[None]:
    """A hard bound on the time of what is done inside."""
    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise TimeLimit(f"{what}: not done after {seconds:.0f} s")
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def bound(transport: str, port: int) -> bool:
    """Whether somebody on this machine listens on a port."""
    want = f":{port:04X}"
    for suffix in ("", "6"):
        with contextlib.suppress(OSError), open(f"/proc/net/{transport}{suffix}") as f:
            for line in f:
                c = line.split()
                if len(c) > 3 and c[1].endswith(want) and (transport == "udp" or c[3] == "0A"):
                    return True
    return False


# ---- what a family of processes uses --------------------------------------------

def _stat(pid: int) -> tuple[int, int, int, int, str] | None:
    """parent, session, user ticks, system ticks and state of a process"""
    try:
        with open(f"/proc/{pid}/stat") as f:
            p = f.read().rpartition(")")[2].split()
    except OSError:
        return None
    return int(p[1]), int(p[3]), int(p[11]), int(p[12]), p[0]


def _all() -> dict[int, tuple[int, int, int, int, str]]:
    found = {int(d): _stat(int(d)) for d in os.listdir("/proc") if d.isdigit()}
    return {pid: s for pid, s in found.items() if s is not None}


def session(root: int) -> list[int]:
    """The living processes of the session that root began."""
    return [pid for pid, s in _all().items() if s[1] == root and s[4] != "Z"]


def family(root: int) -> dict[int, tuple[int, int, int, int, str]]:
    """root's session and all of root's descendants"""
    everyone = _all()
    got = {pid for pid, s in everyone.items() if s[1] == root or pid == root}
    more = True
    while more:
        more = False
        for pid, s in everyone.items():
            if pid not in got and s[0] in got:
                got.add(pid)
                more = True
    return {pid: everyone[pid] for pid in got}


def _nanoseconds(pid: int) -> int:
    """CPU time of all living threads of a process."""
    total = 0
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/schedstat") as f:
                total += int(f.read().split()[0])
    return total


class Use:
    """CPU time of a family up to one moment."""

    def __init__(self, root: int) -> None:
        everyone = family(root)
        self.pids = set(everyone)
        self.user = sum(s[2] for s in everyone.values())
        self.system = sum(s[3] for s in everyone.values())
        self.ns = sum(_nanoseconds(pid) for pid in everyone)

    def since(self, before: "Use") -> tuple[float, float, bool]:
        """Nanoseconds in user mode and in the kernel since then, and whether a
        process was lost. schedstat is exact in sum, stat tells the two apart by
        ticks; a thread that ended takes its schedstat along, stat keeps it."""
        user, system = self.user - before.user, self.system - before.system
        ticked = (user + system) / TICK * 1e9
        ns = float(self.ns - before.ns)
        lost = bool(before.pids - self.pids)
        if lost or ns < 0.9 * ticked - len(self.pids) * 1e9 / TICK:
            ns = ticked
        share = user / (user + system) if user + system else 0.5
        return ns * share, ns * (1 - share), lost


def memory(root: int) -> tuple[float, float]:
    """Memory of a family in MiB, pages that it shares counted once (PSS), and how
    much of it no file is behind: the rest the kernel can drop and read again."""
    total = anonymous = 0
    for pid in family(root):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup") as f:
            found = dict(re.findall(r"^(\w+):\s+(\d+) kB", f.read(), re.M))
            total += int(found.get("Pss", 0))
            anonymous += int(found.get("Pss_Anon", 0)) + int(found.get("Pss_Shmem", 0))
    return round(total / 1024, 1), round(anonymous / 1024, 1)


def machine_busy() -> float:
    """CPU seconds that all of the machine has used."""
    with open("/proc/stat") as f:
        c = [int(x) for x in f.readline().split()[1:9]]
    return (sum(c) - c[3] - c[4]) / TICK
