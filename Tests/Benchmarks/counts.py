"""Instructions and system calls per token of one process, on streams in lockstep."""

import contextlib
import copy
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "Support"))
sys.path.insert(0, str(HERE.parent / "EndToEnd"))

import lockstep  # noqa: E402
from counting import CACHEGRIND, counted_in, stripped  # noqa: E402
from harness import Process, free_port  # noqa: E402
from machine import LOAD_CORE  # noqa: E402
from subjects import COUNTED, PAIR  # noqa: E402

# Tokens per stream. The shorter one already has every buffer and key that the longer one needs;
# what starting takes differs by a million instructions from run to run, 100 of each token here.
FEW, MANY = 100, 1400


def per_token(measure):
    """What `measure(tokens)` grows by for one token of one stream."""
    return (measure(MANY) - measure(FEW)) / (lockstep.STREAMS * (MANY - FEW))


def instructions(command, port, backend, directory, plain=False, through=None):
    """Those of `command`, which listens at `port`, for one token through it.

    Where `through` is given, it starts another proxy in front, which the streams enter.
    """
    def measure(tokens):
        with fresh("cachegrind", [*CACHEGRIND, *command], directory) as process:
            drive(process, port, backend, plain, through, tokens)
            process.stop(seconds=60)
            return counted_in(process.text())

    return per_token(measure)


def system_calls(command, port, backend, directory, plain=False, through=None):
    """The same for system calls; None where they cannot be traced."""
    if not can_trace():
        return None

    def measure(tokens):
        traced = ["strace", "-f", "-c", "-U", "name,calls", *command]
        with fresh("strace", traced, directory) as process:
            try:
                drive(process, port, backend, plain, through, tokens)
            finally:
                end_children(process)
            process.child.wait(60)
            return calls_in(process.text())

    return per_token(measure)


def fresh(name, command, directory):
    """A process whose output is all that is in its file, since figures are read from there."""
    (pathlib.Path(directory) / f"{name}.log").unlink(missing_ok=True)
    return Process(name, command, directory)


def can_trace():
    """Whether strace is there and allowed to."""
    return shutil.which("strace") and subprocess.run(
        ["strace", "-o", "/dev/null", "true"], capture_output=True).returncode == 0


def drive(process, port, backend, plain, through, tokens):
    process.wait_for_port(port, 120)
    with through() if through else contextlib.nullcontext(port) as entry:
        lockstep.run(backend, entry, plain, tokens)


def end_children(process):
    """What strace runs is ended, and strace with it: a signal to strace would only detach it."""
    path = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
    for child in path.read_text().split():
        os.kill(int(child), signal.SIGTERM)


def calls_in(text):
    found = re.findall(r"^(\w+)\s+(\d+)$", text, re.MULTILINE)
    assert found, text[-500:]
    return sum(int(count) for name, count in found if name != "total")


def of_subjects(subjects, chosen):
    """Name → instructions and system calls per token, where they can be counted.

    hitch forks its worker and Envoy brings an allocator that valgrind does not run: neither is.
    """
    counted = {}
    with contextlib.ExitStack() as stack:
        backend = stack.enter_context(lockstep.Backend())
        subjects = copy.copy(subjects)
        subjects.ratel = stack.enter_context(stripped(subjects.ratel))
        for name in chosen:
            if name in COUNTED:
                port = free_port()
                command = subjects.command(name, COUNTED[name], port, backend)
                counted[name] = both(command, port, backend, subjects)
            elif name == "ratel serve":
                port = free_port()
                counted[name] = both(
                    subjects.serve(port, at(backend)), port, backend, subjects)
            elif name == PAIR:
                counted |= pair(subjects, backend)
    return counted


def at(backend):
    return f"http://127.0.0.1:{backend.port}"


def both(command, port, backend, subjects, plain=False, through=None):
    where = subjects.directory / "run"
    return (instructions(command, port, backend, where, plain, through),
            system_calls(command, port, backend, where, plain, through))


def pair(subjects, backend):
    """Each of the two, while the other runs uncounted."""
    port = free_port()

    @contextlib.contextmanager
    def through():
        with subjects.connected(port, LOAD_CORE) as (_, entry):
            yield entry

    command = subjects.serve(port, at(backend), attested=True)
    counted = {"ratel attested": both(command, port, backend, subjects, True, through)}
    with Process("behind", command, subjects.directory / "run") as serve:
        serve.wait_for_port(port)
        entry = free_port()
        command = subjects.connect(port, entry)
        counted["ratel connect"] = both(command, entry, backend, subjects, True)
    return counted
