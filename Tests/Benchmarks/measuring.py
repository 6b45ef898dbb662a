"""One measured run: a fresh subject, one workload, and what the load tool and the machine say."""

import contextlib
import json
import subprocess
import time

import ceiling
from lockstep import EVENT_BYTES, connected
from machine import LOAD_CORE, Window, pinned
from subjects import PAIR, PROTOTYPE
from token_backend import TokenBackend

MODES = {"stream": "stream", "stalled": "stream", "daily": "rate", "download": "dl",
         "handshake": "hs", "idle": "idle"}
EXCHANGE = {"none": [], "nothing asked": ["-E"], "whole": ["-A"]}


def measure(subjects, name, load, tools, backend):
    """What the load tool says of a fresh subject, and what the machine did else."""
    if load.kind == "stalled":
        return stalled(subjects, name, load, tools, backend)
    if load.kind == "ceiling":
        return ceiling.search(load, lambda probe: measure(subjects, name, probe, tools, backend))
    with subject(subjects, name, load, backend) as running:
        if load.kind == "idle":
            # Idle memory is that of connections, not of what the first of them makes for all.
            first = command(running, load, tools, backend, connections=8)[:-2]
            subprocess.run(first, capture_output=True, timeout=60)
        if name == PAIR and load.kind == "stream":
            warm_up(running, load.all_streams)
        with watched(running, backend) as machine:
            figures = parsed(subprocess.run(
                command(running, load, tools, backend, name), capture_output=True, text=True,
                timeout=load.seconds(name) * 4 + 120))
    return {**figures, **machine}


@contextlib.contextmanager
def subject(subjects, name, load, backend):
    backend.move(LOAD_CORE)
    with subjects.running(name, backend, load.is_unix) as running:
        backend.move(running.load_core)
        yield running


@contextlib.contextmanager
def watched(running, backend):
    """Fills what it yields with what the machine did meanwhile."""
    found = {}
    window = Window([backend.pid, *running.charged, *running.beside])
    yield found
    machine = window.close()
    after = 1 + len(running.charged)
    found.update(
        other=round(machine["other"], 3), steal=round(machine["steal"], 3),
        charged=[round(value, 4) for value in machine["own"][1:after]],
        beside=[round(value, 4) for value in machine["own"][after:]])


def command(running, load, tools, backend, name="", connections=0):
    """The load tool's, on the core that the subject left free."""
    if name == PROTOTYPE:
        return pinned(running.load_core, prototype_words(running, load, tools, backend))
    if load.kind == "resumed":
        return pinned(running.load_core, [
            tools / "tokcli", "-m", "hs", "-S", "-p", running.port, "-C", load.connections,
            "-P", charged(running), "-d", load.window, "-w", load.warm])
    is_http2 = load.is_http2 and not running.is_plain
    count = connections or load.connections
    words = [tools / "h2cli", "-m", MODES[load.kind], "-p", running.port, "-c", running.load_core,
             "-B", backend.pid, "-d", load.window, "-w", load.warm]
    words += ["-C", count, "-M", load.streams] if is_http2 else ["-C", count * load.streams, "-1"]
    if load.kind == "daily":
        words += ["-r", f"{load.path}&n={load.arguments[-1]}", "-e", EVENT_BYTES]
    elif load.kind in ("stream", "stalled"):
        words += ["-r", load.path, "-e", EVENT_BYTES]
    if running.charged:
        words += ["-P", charged(running)]
    if running.is_plain:
        words.append("-t")
    if running.is_attested:
        words += EXCHANGE[load.exchange]
    return pinned(running.load_core, words + list(load.arguments))


def prototype_words(running, load, tools, backend):
    """It speaks frames of its own, which the other load tool knows."""
    return [tools / "tokcli", "-m", "mux", "-p", running.port, "-C", load.connections, "-k",
            load.streams, "-r", load.path, "-P", charged(running), "-B", backend.pid, "-d",
            load.window, "-w", load.warm]


def charged(running):
    return ",".join(map(str, running.charged))


def parsed(done):
    """The figures of the load tool, or why there are none."""
    try:
        figures = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        return {"failure": (done.stdout[-200:] + done.stderr[-300:]).strip() or "said nothing"}
    if figures.get("err"):
        figures["failure"] = f"{figures['err']} errors: {done.stderr.strip()[-300:]}"
    if figures.get("reads_per_s"):
        figures["tokens_per_record"] = figures["tok_s"] / figures["reads_per_s"]
    return figures


def stalled(subjects, name, load, tools, backend):
    """Some streams stand on each connection when their backend stops; another takes its place.

    Both listen at one path: what connected before stays with the first.
    """
    path = backend.path.with_name("stalled.sock")
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(TokenBackend(tools, path, "stalled"))
        running = stack.enter_context(subject(subjects, name, load, first))
        machine = stack.enter_context(watched(running, first))
        child = stack.enter_context(subprocess.Popen(
            command(running, load, tools, first), stdin=subprocess.PIPE, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        try:
            said = child.stdout.readline()
            if said.strip() != "ready":
                return {"failure": f"{said} {child.communicate()[1]}"[:300]}
            stack.enter_context(TokenBackend(tools, path, "beside"))
            with first.stopped():
                out, err = child.communicate("go\n", timeout=120)
        finally:
            child.kill()
        figures = parsed(subprocess.CompletedProcess([], child.returncode, out, err))
    return {**figures, **machine}


def warm_up(running, streams):
    """Opens the pair's inner connections before it is measured, a hundred at a time.

    An endpoint lets at most 192 connections of one address wait for Evidence, and refuses the
    next: a caller that begins with a thousand streams at once is to be told so.
    """
    seconds = 2 + streams // 100
    for _ in range(4):
        began = time.monotonic()
        held = []
        try:
            while len(held) < streams:
                held += opened(running, min(100, streams - len(held)), seconds)
            # Where the first ended before the last began, they shared a connection: once more.
            is_enough = time.monotonic() - began < seconds
            for caller in held:
                to_the_end(caller)
            if is_enough:
                return
        finally:
            for caller in held:
                caller.close()
    raise AssertionError(f"{streams} streams could not be opened within {seconds} s")


def opened(running, count, seconds, rate=5):
    """Streams that have begun to answer, and last as long."""
    callers = [connected(running.port, plain=True) for _ in range(count)]
    for caller in callers:
        caller.sendall((
            f"POST /v1/chat/completions?size=290&rate={rate}&n={rate * seconds} HTTP/1.1\r\n"
            "Host: h\r\nContent-Length: 2\r\n\r\n{}").encode())
    for caller in callers:
        answer = caller.recv(4096)
        assert b" 200 " in answer[:16], f"the warm-up got {answer!r}"
    return callers


def to_the_end(connection):
    received = b""
    while not received.endswith(b"\r\n0\r\n\r\n"):
        piece = connection.recv(65536)
        assert piece, f"the stream ended early: {received[-200:]}"
        received = (received + piece)[-64:]
