"""What tests of other systems' servers share: minted machines, and commands that look at them."""

import contextlib
import json
import pathlib
import subprocess
import sys

import platforms
from harness import Process, free_port

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "Support"))

import dialects  # noqa: E402


class Showing:
    """A minted platform, what a caller needs to appraise it, and a policy on it."""

    def __init__(self, folder, platform, tier="static"):
        self.platform, self.vendor = platform, platform.vendor
        self.folder = pathlib.Path(folder)
        self.collateral = self.folder / "collateral"
        self.collateral.mkdir()
        if platform.write:
            platform.write(self.collateral)
        self.static = platform.policy(self.folder, tier="static")
        self.session = platform.policy(self.folder)
        self.root = self.folder / "root.pem"

    @property
    def arguments(self):
        return ["--collateral", self.collateral]


def tdx(folder):
    """A trust domain whose RTMR3 is what the events of the stand-ins leave."""
    platform = platforms.tdx(4)
    platform.section["rtmr"]["3"] = [dialects.register().hex()]
    machine = Showing(folder, platform)
    machine.quote = lambda data: platform.vendor.tdx(data, rtmr3=dialects.register())
    return machine


def verify(context, subject, *words, machine=None):
    command = [context.ratel, "verify", str(subject), "--json", *map(str, words)]
    if machine:
        command += map(str, machine.arguments)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    try:
        return done.returncode, json.loads(done.stdout)
    except json.JSONDecodeError:
        raise AssertionError(f"{subject}: {done.stdout}{done.stderr}") from None


@contextlib.contextmanager
def connecting(context, folder, port, policy, machine):
    """`ratel connect` to a server; answers its port and its log."""
    listen = free_port()
    command = [context.ratel, "connect", f"127.0.0.1:{port}", "--policy", policy, "--listen",
               f"127.0.0.1:{listen}", *machine.arguments]
    with Process(f"connect-{listen}", command, folder) as process:
        process.wait_for_port(listen)
        yield listen, process
