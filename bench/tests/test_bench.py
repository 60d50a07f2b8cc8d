"""The bench itself, as its users start it: one short round of every contender
whose programs are there, on 1,000 numbers."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from measure import needs
from measure.contender import CONTENDERS

RUN = needs.BENCH / "run.sh"


def of_run(work: str) -> list[int]:
    """Living processes that have the run's directory in their environment."""
    found = []
    for d in Path("/proc").iterdir():
        try:
            if d.name.isdigit() and work.encode() in d.joinpath("environ").read_bytes():
                found.append(int(d.name))
        except OSError:
            continue
    return found


class Bench(unittest.TestCase):
    def setUp(self) -> None:
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.out = Path(made.name)
        self.tmp = self.out / "tmp"
        self.tmp.mkdir()
        self.env = dict(os.environ, TMPDIR=str(self.tmp))

    def test_every_contender_is_measured(self) -> None:
        able = [c for c in CONTENDERS if not needs.missing_of(c)]
        done = subprocess.run([RUN, "--smoke", "--skip-missing", "--out", self.out], env=self.env, capture_output=True, text=True, timeout=600)
        self.assertEqual(done.returncode, 0, done.stderr[-4000:])
        run = json.loads((self.out / "results.json").read_text())
        for c in able:
            for transport in c.transports:
                kinds = {r["kind"] for r in run["records"] if r["part"] == "cpu" and r["contender"] == c.name and r["transport"] == transport and r["clean"] and r["us"] > 0}
                self.assertEqual(kinds, set(c.kinds), f"{c.name} by {transport}")
            self.assertIn(c.title, done.stdout)
        self.assertIn("Every run was clean.", done.stdout)
        again = subprocess.run([RUN, "--report", self.out / "results.json"], capture_output=True, text=True, timeout=60)
        self.assertEqual(again.stdout.strip(), done.stdout.strip())
        self.assertEqual(list(self.tmp.iterdir()), [])

    def test_an_interrupt_leaves_nothing_behind(self) -> None:
        p = subprocess.Popen([RUN, "--smoke", "--of", "relay-go", "--out", self.out], env=self.env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        assert p.stderr is not None
        with p.stderr:
            for line in p.stderr:
                if "round 1" in line:
                    break
            time.sleep(1)  # its carrier and its proxy are up, or about to be
            p.send_signal(signal.SIGINT)
            p.stderr.read()
        self.assertEqual(p.wait(60), 130)
        self.assertEqual(of_run(str(self.tmp)), [])
        self.assertEqual(list(self.tmp.iterdir()), [])

    def test_a_run_that_is_not_clean_says_so_and_fails(self) -> None:
        done = subprocess.run([RUN, "--smoke", "--of", "relay-go", "--with", "deaf=exec sleep 60", "--with", "gone=exit 3", "--only", "cpu", "--out", self.out],
                              env=dict(self.env, BENCH_PATIENCE="2"), capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, 1, done.stderr[-2000:])
        self.assertIn("gone ended with 3", done.stdout)
        self.assertIn("deaf listens on nothing", done.stdout)

    def test_what_is_missing_is_said(self) -> None:
        # With nothing but the shell's own programs on the path.
        bare = self.out / "bin"
        bare.mkdir()
        for name, where in (("python3", sys.executable), ("dirname", shutil.which("dirname")), ("sh", shutil.which("sh"))):
            os.symlink(str(where), bare / name)
        done = subprocess.run([RUN, "--smoke", "--out", self.out], env=dict(self.env, PATH=str(bare)), capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 2)
        self.assertIn("sipp (sip-tester)", done.stderr)


if __name__ == "__main__":
    unittest.main()
