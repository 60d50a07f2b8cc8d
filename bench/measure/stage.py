"""The stage of a run: its ports, directories, programs and numbers, and the
proxy that stands on it."""
import os
import random
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from measure import processes
from measure.consent import Consent
from measure.contender import Contender
from measure.needs import BENCH
from measure.processes import Trouble, Use
from measure.yardstick import Yardstick

HOST = "127.0.0.1"


def free_ports(n: int) -> list[int]:
    """Ports free on UDP and TCP, below those that the kernel hands out itself."""
    ports: list[int] = []
    while len(ports) < n:
        port = random.randrange(20_000, 32_000)
        try:
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                with socket.socket(socket.AF_INET, kind) as s:
                    s.bind((HOST, port))
        except OSError:
            continue
        if port not in ports:
            ports.append(port)
    return ports


@dataclass
class Stage:
    work: Path          # of this run alone; removed at its end
    bin: Path
    consent: Consent
    transport: str = "udp"
    workers: dict[str, int] = field(default_factory=dict)  # by contender's name
    env: dict[str, str] = field(default_factory=dict)      # more for the proxy
    prefix: str = ""                                       # before its command: taskset
    campaigns: int = 1
    resent: float = 0.001                                  # share of calls that a clean run may have had to repeat
    yard: Yardstick = field(default_factory=Yardstick)
    called: int = 0                                        # calls made so far: each goes to another number

    def __post_init__(self) -> None:
        self.port, self.carrier_port, self.dialer_port, self.api_port, self.redis_port = free_ports(5)

    def injection(self, kind: str, calls: int) -> tuple[Path, int, int]:
        """A file of calls, and how many are let through and refused."""
        path = self.work / f"{kind}.csv"
        through, refused = self.consent.calls(path, kind, self.called, calls, self.campaigns)
        self.called += calls
        return path, through, refused


@contextmanager
def kept(directory: Path | None) -> Iterator[Path]:
    """A directory that stays, or one that is gone afterwards."""
    if directory:
        directory.mkdir(parents=True, exist_ok=True)
        yield directory.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as made:
        yield Path(made)


@contextmanager
def stage(bin_dir: Path, consent: Consent) -> Iterator[Stage]:
    """A stage whose directory and processes are gone afterwards."""
    with kept(None) as work:
        try:
            yield Stage(work, bin_dir, consent)
        finally:
            processes.stop_all()


class Proxy:
    """A contender that is up."""

    def __init__(self, stage: Stage, contender: Contender) -> None:
        self.stage, self.contender = stage, contender
        if processes.bound(stage.transport, stage.port):
            raise Trouble(f"port {stage.port} is in use already")
        env = dict(os.environ, PROXY_HOST=HOST, PROXY_PORT=str(stage.port), PROXY_TRANSPORT=stage.transport, CARRIER_HOST=HOST,
                   CARRIER_PORT=str(stage.carrier_port), BENCH_DATA=str(stage.consent.dir), BENCH_API_PORT=str(stage.api_port),
                   BENCH_CAMPAIGNS=str(stage.campaigns), REDIS_HOST=HOST, REDIS_PORT=str(stage.redis_port), TMPDIR=str(stage.work), **stage.env)
        command = contender.command
        for name, value in (("peers", BENCH / "peers"), ("bin", stage.bin), ("workers", stage.workers.get(contender.name, 1))):
            command = command.replace("{" + name + "}", str(value))
        if stage.transport == "tcp" and "kamailio/run.sh" in command:
            command += " --tcp"
        if stage.prefix:
            command = command.replace("exec ", f"exec {stage.prefix} ", 1)
        self.log = stage.work / f"{contender.name}.log"
        self.process = processes.start(command, cwd=stage.work, env=env, log=self.log)
        self._wait(time.monotonic() + float(os.environ.get("BENCH_PATIENCE", "90")))

    def _wait(self, end: float) -> None:
        """It is ready when its port is bound and it has been quiet for a second:
        some load their numbers first, others afterwards."""
        while not processes.bound(self.stage.transport, self.stage.port):
            self.check()
            if time.monotonic() > end:
                raise Trouble(f"{self.contender.name} listens on nothing; it said: {self.said()}")
            time.sleep(0.1)
        quiet = 0
        while quiet < 4 and time.monotonic() < end:
            self.check()
            before = Use(self.process.pid)
            time.sleep(0.25)
            user, system, _ = Use(self.process.pid).since(before)
            quiet = quiet + 1 if user + system < 0.03 * 0.25e9 else 0

    def said(self) -> str:
        return self.log.read_bytes()[-800:].decode("utf-8", "replace").strip()

    def check(self) -> None:
        if self.process.poll() is not None:
            raise Trouble(f"{self.contender.name} ended with {self.process.returncode}: {self.said()}")

    def stop(self) -> None:
        processes.stop(self.process)


def start_redis(stage: Stage) -> subprocess.Popen[bytes]:
    """A Redis server with the numbers, nothing on disk."""
    server = processes.start(["redis-server", "--port", str(stage.redis_port), "--bind", HOST, "--save", "", "--appendonly", "no",
                              "--dir", str(stage.work)], cwd=stage.work)
    end = time.monotonic() + 10
    while not processes.bound("tcp", stage.redis_port):
        if time.monotonic() > end or server.poll() is not None:
            raise Trouble("redis-server did not start")
        time.sleep(0.1)
    with open(stage.consent.dir / "consent.resp", "rb") as numbers:
        done = subprocess.run(["redis-cli", "-p", str(stage.redis_port), "--pipe"], stdin=numbers, capture_output=True, text=True, timeout=120)
    if done.returncode or "errors: 0" not in done.stdout:
        raise Trouble(f"redis-cli: {done.stdout} {done.stderr}")
    return server
