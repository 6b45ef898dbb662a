"""The backend that sends tokens, over TCP and over a Unix socket."""

import contextlib
import os
import pathlib
import signal

from harness import Process, free_port, wait_until
from machine import LOAD_CORE, pinned


class TokenBackend(Process):
    """Listens at `port` and at the Unix socket `path`; moves to the core where the load runs."""

    def __init__(self, tools, path, name="toksrv"):
        self.port, self.path = free_port(), pathlib.Path(path)
        was = self.path.stat().st_ino if self.path.exists() else None
        command = [tools / "toksrv", "-p", self.port, "-u", self.path]
        super().__init__(name, pinned(LOAD_CORE, command), tools / "run")
        self.wait_for_port(self.port)
        # It takes the place of one that listens at the same path.
        wait_until(lambda: self.path.exists() and self.path.stat().st_ino != was, 10, "its socket")

    def move(self, core):
        os.sched_setaffinity(self.pid, {core})

    @contextlib.contextmanager
    def stopped(self):
        """Holds what it holds, and says nothing."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)
