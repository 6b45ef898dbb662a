"""The machine: whose CPU time went where, and the facts that belong beside every figure."""

import datetime
import os
import pathlib
import platform
import re
import subprocess
import time

# The proxy under test has a core of its own; the loader and the backend share the other.
PROXY_CORE, LOAD_CORE = 1, 0


def tree(pid):
    """The process and its descendants."""
    found = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += tree(int(child))
    return found


def cpu(pid):
    """CPU seconds of a process, its ended threads too, by the clock of clock_getcpuclockid(3)."""
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


def anonymous_memory(pids):
    """KiB of memory that belongs to the processes alone."""
    found = 0
    for pid in pids:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        found += int(re.search(r"^RssAnon:\s+(\d+)", status, re.MULTILINE)[1])
    return found


class Window:
    """CPU of this machine between two instants: ours, that of other processes, and stolen time."""

    def __init__(self, pids):
        self.pids = pids
        self.started, self.before = time.monotonic(), busy()
        self.own, self.children = [cpu(pid) for pid in pids], children_cpu()

    def close(self):
        """Shares of one core: other processes' and steal; seconds of each of ours."""
        wall = time.monotonic() - self.started
        used, stolen = (late - early for late, early in zip(busy(), self.before))
        own = [cpu(pid) - early for pid, early in zip(self.pids, self.own)]
        ours = sum(own) + children_cpu() - self.children
        return {"other": max(0, used - ours) / wall, "steal": stolen / wall, "own": own}


def busy():
    """Busy and stolen seconds of all processors since boot."""
    fields = pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    user, nice, system, _, _, irq, softirq, steal = map(int, fields)
    ticks = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + irq + softirq) / ticks, steal / ticks


def children_cpu():
    times = os.times()
    return times.children_user + times.children_system


def pinned(core, command):
    """Before others where this may be asked for; nice runs the command either way."""
    return ["nice", "-n", "-10", "taskset", "-c", str(core), *map(str, command)]


def facts(ratel, peers):
    """Name and value of what a reader has to know about the machine."""
    model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": f"{model[1] if model else platform.machine()}, {os.cpu_count()} visible",
        "kernel": platform.release(),
        "OpenSSL": first_line(["openssl", "version"]),
        "libuv": first_line(["pkg-config", "--modversion", "libuv"]),
        "Ratel": first_line([ratel, "--version"]) + ", commit " + commit(),
        # Some begin with the path that they were called by.
        **{name: first_line(command).replace(command[0], "").strip()
           for name, command in peers.items()},
    }


def commit():
    here = pathlib.Path(__file__).parent
    words = ["git", "-C", str(here), "describe", "--always", "--dirty"]
    return first_line(words)


def first_line(command):
    """What a program says about itself, on either output."""
    done = subprocess.run(command, capture_output=True, text=True)
    # stunnel first says what it is about to do.
    lines = [line for line in (done.stdout + done.stderr).strip().splitlines()
             if not line.startswith("Initializing")]
    return lines[0].strip() if lines else "unknown"
