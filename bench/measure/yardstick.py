"""How fast the machine is just now, from work that no contender has a part in."""
import socket
import time


class Yardstick:
    """Sends datagrams of a call's size from one socket to another of this process
    and looks at them; run a little (1-2 % of a core) all through a measured run.
    The figure is this thread's CPU time for one datagram."""

    def __init__(self) -> None:
        self._from, self._to = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        for s in (self._from, self._to):
            s.bind(("127.0.0.1", 0))
            s.settimeout(2)
        self._message = b"\r\n".join([b"INVITE sip:x@y SIP/2.0"] + [b"Header-%02d: %s" % (i, b"v" * 40) for i in range(14)])
        self.reset()

    def reset(self) -> None:
        self._ns = self._units = 0

    def tick(self, units: int = 40) -> None:
        began = 0
        for i in range(units + 10):
            if i == 10:  # the first ones only warm the caches
                began = time.thread_time_ns()
            self._from.sendto(self._message, self._to.getsockname())
            got = self._to.recv(4096)
            {line.partition(b": ")[0]: line for line in got.split(b"\r\n")[1:]}
        self._ns += time.thread_time_ns() - began
        self._units += units

    def us(self) -> float:
        return self._ns / 1e3 / max(self._units, 1)
