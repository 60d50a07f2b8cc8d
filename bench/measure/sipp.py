"""The load generator: a sipp dialer and a sipp carrier on loopback."""
import contextlib
import csv
import os
import subprocess
import time
from dataclasses import dataclass

from measure import processes
from measure.needs import BENCH
from measure.processes import Trouble
from measure.stage import HOST, Stage

RING_MS = 10


def _command(stage: Stage, scenario: str, port: int) -> list[str]:
    return ["sipp", "-t", "t1" if stage.transport == "tcp" else "u1", "-i", HOST, "-p", str(port), "-nostdin", "-buff_size", "4194304",
            "-skip_rlimit", "-deadcall_wait", "1000", "-timer_resol", "1", "-max_socket", "16000", "-sf", str(BENCH / "sipp" / scenario),
            "-trace_err", "-error_file", str(stage.work / f"{scenario}.err")]


class Carrier:
    def __init__(self, stage: Stage) -> None:
        self.process = processes.start(_command(stage, "uas.xml", stage.carrier_port) + ["-d", str(RING_MS)], cwd=stage.work)
        end = time.monotonic() + 5
        while not processes.bound(stage.transport, stage.carrier_port):
            if self.process.poll() is not None or time.monotonic() > end:
                raise Trouble("the sipp carrier did not start")
            time.sleep(0.05)

    def stop(self) -> None:
        processes.stop(self.process)


@dataclass
class Dialled:
    """What the dialer counted."""

    calls: int
    right: bool         # every call ended as its number says
    bad_share: float    # failed or sent again
    seconds: float
    cpu_us_call: float
    cpu_share: float    # of one core
    why: str            # what was not right


def dial(stage: Stage, kind: str, rate: float, calls: int, each: "Each | None" = None) -> Dialled:
    """Makes calls at a rate and waits for their end."""
    path, through, refused = stage.injection(kind, calls)
    counts = stage.work / "dialer.csv"
    counts.unlink(missing_ok=True)
    began = time.monotonic()
    p = processes.start(_command(stage, "uac.xml", stage.dialer_port) + [
        f"{HOST}:{stage.port}", "-inf", str(path), "-r", str(int(rate)), "-rp", "1000", "-m", str(calls), "-l", "15000", "-d", "0",
        "-trace_stat", "-stf", str(counts), "-fd", "1", "-timeout", f"{int(calls / rate * 2 + 30)}s", "-recv_timeout", "25000"], cwd=stage.work)
    stage.yard.reset()
    with processes.ending(p):
        while True:
            pid, status, used = os.wait4(p.pid, os.WNOHANG)
            if pid:
                break
            stage.yard.tick()
            if each is not None:
                each.moment(time.monotonic() - began)
            time.sleep(0.05)
        seconds = time.monotonic() - began
        p.returncode = os.waitstatus_to_exitcode(status)
    count = _counts(counts)

    def n(name: str) -> int:
        return count.get(name, 0)
    cpu = used.ru_utime + used.ru_stime
    got = {"ended well": (n("SuccessfulCall(C)"), calls), "200": (n("GenericCounter2(C)"), through), "403": (n("GenericCounter1(C)"), refused)}
    why = ", ".join(f"{what} {have} of {want}" for what, (have, want) in got.items() if have != want)
    bad = (n("FailedCall(C)") + n("Retransmissions(C)")) / calls
    if bad > stage.resent:
        why = ", ".join(filter(None, [why, f"failed {n('FailedCall(C)')}, sent again {n('Retransmissions(C)')}"]))
    return Dialled(calls, not why, bad, seconds, cpu * 1e6 / calls, cpu / seconds, why)


class Each:
    """Something to be looked at while calls are made."""

    def moment(self, seconds: float) -> None:
        raise NotImplementedError


def _counts(path: os.PathLike[str]) -> dict[str, int]:
    """The whole numbers in the last row of sipp's statistics."""
    with contextlib.suppress(OSError), open(path) as f:
        rows = list(csv.reader(f, delimiter=";"))
        if len(rows) > 1:
            return {name: int(value) for name, value in zip(rows[0], rows[-1]) if value.isdigit()}
    return {}


def version() -> str:
    said = subprocess.run(["sipp", "-v"], capture_output=True, text=True, timeout=10).stdout
    return next((line.strip() for line in said.splitlines() if "SIPp v" in line), "?")
