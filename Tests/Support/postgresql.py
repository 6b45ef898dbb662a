"""A PostgreSQL of a test's own: in a temporary folder, on a socket alone, as a user who is not
root, and ended by its number.

    postgresql.py serve FOLDER      until standard input ends; writes the URL to FOLDER/url
"""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

# What Debian's package makes; PostgreSQL refuses root.
USER = "postgres"


class PostgreSQL:
    """A server with one database; `kill` and `start` make it crash and recover."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.data, self.log = self.folder / "data", self.folder / "log"
        self.url = f"postgresql:///postgres?host={self.folder}&user={USER}"
        self.server = None
        if os.getuid() == 0:
            shutil.chown(self.folder, USER, USER)
        done = subprocess.run(
            [*as_user(), program("initdb"), "-D", self.data, "-U", USER, "--auth=trust",
             "--encoding=UTF8", "--locale=C.UTF-8"], capture_output=True, text=True,
            cwd=self.folder)
        if done.returncode != 0:
            raise RuntimeError(f"initdb: {done.stderr}")

    def start(self):
        with open(self.log, "ab") as log:
            self.server = subprocess.Popen(
                [*as_user(), program("postgres"), "-D", self.data, "-k", self.folder,
                 "-c", "listen_addresses=", "-c", "shared_buffers=16MB"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder)
        end = time.monotonic() + 60
        while subprocess.run(
                [program("pg_isready"), "-q", "-d", self.url]).returncode != 0:
            if self.server.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"postgres: {self.log.read_text()[-2000:]}")
            time.sleep(0.05)

    def kill(self):
        """As if the machine's power went for it: every process of it, at once."""
        children = processes_of(self.server.pid)
        for pid in [self.server.pid, *children]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.server.wait()
        # Its children are nobody's then; a start waits until none has the memory any more.
        end = time.monotonic() + 10
        while any(os.path.exists(f"/proc/{pid}") for pid in children):
            if time.monotonic() > end:
                raise RuntimeError("processes of a killed server stay")
            time.sleep(0.01)

    def stop(self):
        if self.server and self.server.poll() is None:
            self.server.send_signal(signal.SIGINT)  # Without waiting for callers.
            self.server.wait(30)

    def query(self, text):
        """The rows as lists of text."""
        done = subprocess.run(
            [program("psql"), "-X", "-A", "-t", "-F", "\t", "-d", self.url, "-c", text],
            capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"psql: {done.stderr}")
        return [line.split("\t") for line in done.stdout.splitlines()]


def program(name):
    """The newest version that is installed; Debian has them outside of PATH."""
    found = sorted(
        pathlib.Path("/usr/lib/postgresql").glob(f"*/bin/{name}"),
        key=lambda path: int(path.parts[4]))
    if not found:
        raise FileNotFoundError(f"{name}: install the package `postgresql`")
    return found[-1]


def as_user():
    if os.getuid() != 0:
        return []
    return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]


def processes_of(parent):
    text = pathlib.Path(f"/proc/{parent}/task/{parent}/children").read_text()
    return [int(word) for word in text.split()]


@contextlib.contextmanager
def running():
    with tempfile.TemporaryDirectory(prefix="ratel-pg-") as folder:
        os.chmod(folder, 0o755)
        server = PostgreSQL(folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def main():
    if len(sys.argv) != 3 or sys.argv[1] != "serve":
        sys.exit(__doc__)
    # A caller that is interrupted closes the pipe, which ends this in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    folder = pathlib.Path(sys.argv[2])
    with running() as server:
        half = folder / "url.new"
        half.write_text(server.url)
        half.rename(folder / "url")
        sys.stdin.read()


if __name__ == "__main__":
    main()
