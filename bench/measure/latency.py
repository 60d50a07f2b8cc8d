"""What a proxy adds to a call's set-up, and what the disk takes by itself."""
import json
import os
import subprocess
import time
from pathlib import Path

from measure import processes
from measure.cpu import Record
from measure.processes import Trouble
from measure.stage import HOST, Proxy, Stage

WARM = 200


def probe(stage: Stage, proxy: Proxy | None, kind: str, rate: float, calls: int) -> Record:
    """Runs bench/probe against a proxy, or against its own carrier."""
    numbers, _, _ = stage.injection(kind, calls + WARM)
    target = stage.port if proxy else stage.carrier_port
    log = stage.work / "probe.json"
    log.unlink(missing_ok=True)
    p = processes.start([str(stage.bin / "probe"), "-proxy", f"{HOST}:{target}", "-carrier", f"{HOST}:{stage.carrier_port}",
                         "-dialer", f"{HOST}:{stage.dialer_port}", "-transport", stage.transport, "-numbers", str(numbers),
                         "-rate", str(rate), "-calls", str(calls), "-warm", str(WARM)], cwd=stage.work, log=log)
    try:
        with processes.ending(p):
            status = p.wait(calls / rate * 3 + 30)
    except subprocess.TimeoutExpired:
        raise Trouble("the probe did not end") from None
    if status:
        raise Trouble(log.read_text().strip())
    record: Record = json.loads(log.read_text())
    want = "200" if kind == "allowed" else None
    right = record["finished"] == calls and (record["codes"].get("200", 0) == (calls if want else 0))
    record.update(kind=kind, clean=right, why="" if right else f"finished {record['finished']} of {calls}, answers {record['codes']}")
    return record


def disk(where: Path, times: int = 300) -> Record:
    """How long a small append takes to be on the disk that the stores lie on."""
    took: list[float] = []
    with open(where / "fdatasync", "wb", buffering=0) as f:
        for _ in range(times):
            f.write(b"x" * 1024)
            began = time.perf_counter()
            os.fdatasync(f.fileno())
            took.append((time.perf_counter() - began) * 1e6)
    os.unlink(where / "fdatasync")
    took.sort()
    return {"n": times, "p50_us": round(took[times // 2], 1), "p99_us": round(took[int(times * 0.99)], 1), "clean": True, "why": ""}
