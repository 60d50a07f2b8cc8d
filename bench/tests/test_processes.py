import subprocess
import tempfile
import time
import unittest
import unittest.mock
from pathlib import Path

from measure.processes import TimeLimit, Use, ending, limit, session, start, stop, stop_all

HERE = Path(tempfile.gettempdir())


class Processes(unittest.TestCase):
    def started(self, command: str, processes: int) -> subprocess.Popen[bytes]:
        p = start(command, cwd=HERE)
        self.addCleanup(stop_all)
        end = time.monotonic() + 10
        while len(session(p.pid)) < processes and time.monotonic() < end:
            time.sleep(0.01)
        return p

    def test_stop_ends_the_whole_session(self) -> None:
        p = self.started("sleep 60 & sh -c 'sleep 60; :' & wait", 4)
        self.assertEqual(len(session(p.pid)), 4)
        stop(p)
        self.assertEqual(session(p.pid), [])

    def test_who_does_not_listen_is_killed_by_stop_all(self) -> None:
        p = self.started("trap '' TERM; sleep 0.1; while :; do sleep 1; done", 1)
        began = time.monotonic()
        with unittest.mock.patch("measure.processes.PATIENCE", 0.3):
            stop_all()
        self.assertEqual(session(p.pid), [])
        self.assertLess(time.monotonic() - began, 5)

    def test_a_limit_is_hard_and_ends_with_its_part(self) -> None:
        with self.assertRaises(TimeLimit), limit(0.05, "sleeping"):
            time.sleep(10)
        time.sleep(0.1)  # no bell rings afterwards

    def test_who_is_waited_for_is_ended_when_the_time_is_up(self) -> None:
        p = self.started("sleep 60", 1)
        with self.assertRaises(TimeLimit), limit(0.2, "waiting"), ending(p):
            p.wait()
        self.assertEqual(session(p.pid), [])

    def test_cpu_of_children_counts(self) -> None:
        p = self.started("sh -c 'while :; do :; done' & sleep 60", 2)
        before = Use(p.pid)
        time.sleep(0.5)
        user, system, lost = Use(p.pid).since(before)
        self.assertFalse(lost)
        self.assertGreater(user + system, 0.02e9)  # on a machine however busy
        self.assertLess(user + system, 0.9e9)


if __name__ == "__main__":
    unittest.main()
