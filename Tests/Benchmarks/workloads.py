"""What is asked of each subject, and one measured run of it."""

import json
import subprocess
import time

from lockstep import connected
from machine import LOAD_CORE, Window, anonymous_memory, pinned

STREAM = "/v1/chat/completions?size=290&"
MOST_STREAMS = 2000
PAIRS = {"ratel serve (attested)", "ratel connect + serve"}


class Workload:
    """Arguments of the load tool; `unit` is what its CPU figure is per."""

    def __init__(self, kind, arguments, streams=0, rate=0):
        self.kind, self.arguments, self.streams, self.rate = kind, arguments, streams, rate

    def applies(self, subject):
        """Without a proxy there is no CPU to charge; behind `connect` no caller handshakes, and
        opening thousands of attested connections gently takes longer than the measurement."""
        if subject == "direct":
            return self.kind == "stream"
        if subject in PAIRS:
            return self.kind != "handshake" and self.streams < MOST_STREAMS
        return True


def workloads(quick):
    window, warm = (1, 0.3) if quick else (3, 1)
    times = ["-d", window, "-w", warm]

    def streams(count, rate):
        path = f"{STREAM}rate={rate}"
        return Workload("stream", ["-C", count, "-r", path, *times], count, rate)

    counts = [16, 500] if quick else [16, 64, 250, 1000, MOST_STREAMS]
    size = 2**28 if quick else 2**30
    idle = 1000 if quick else 5000
    return {
        "256 × 50/s": streams(256, 50),
        **{f"{count} × 20/s": streams(count, 20) for count in counts},
        "download": Workload("download", ["-m", "dl", "-C", 1, "-d", 25, "-r", f"/bytes/{size}"]),
        "handshakes": Workload(
            "handshake", ["-m", "hs", "-C", 8, "-d", window, "-w", 0.3]),
        "idle": Workload("idle", ["-m", "idle", "-C", idle, "-w", warm]),
    }


def measure(subjects, name, workload, tools, backend):
    """One run against a fresh subject: what the load tool says, and what the machine did else."""
    backend.move(LOAD_CORE)
    with subjects.running(name, backend.port) as running:
        backend.move(running.load_core)
        # Idle memory is that of connections, not of what the first of them makes for all.
        if workload.kind in ("stream", "idle"):
            check_bytes(running)
        if name in PAIRS and workload.kind == "stream":
            warm_up(running, workload.streams)
        window = Window([backend.pid, *running.charged, *running.beside])
        if name in PAIRS and workload.kind == "idle":
            figures = idle_attested(running)
        else:
            figures = loaded(running, workload, tools, backend)
        machine = window.close()
    return {**figures, "other": round(machine["other"], 3), "steal": round(machine["steal"], 3),
            "charged": [round(value, 3) for value in machine["own"][1:1 + len(running.charged)]]}


def loaded(running, workload, tools, backend):
    command = [tools / "tokcli", "-p", running.port, "-c", running.load_core, "-B", backend.pid,
               *workload.arguments]
    if running.charged:
        command += ["-P", ",".join(map(str, running.charged))]
    if running.plain:
        command.append("-t")
    return parsed(subprocess.run(pinned(running.load_core, command), capture_output=True,
                                 text=True, timeout=120))


def idle_attested(running, count=1000):
    """Memory of as many callers, each with an attested connection, whose streams have ended.

    Callers that ask in turn would share the connections behind them.
    """
    before, after = anonymous_memory(running.charged), []
    warm_up(running, count, lambda: after.append(anonymous_memory(running.charged)))
    return {"conns": count, "kb_per_conn": (after[0] - before) / count}


def warm_up(running, streams, when_idle=lambda: None):
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
                return when_idle()
        finally:
            for caller in held:
                caller.close()
    raise AssertionError(f"{streams} streams could not be opened within {seconds} s")


def opened(running, count, seconds, rate=5):
    """Streams that have begun to answer, and last as long."""
    callers = [connected(running.port, plain=True) for _ in range(count)]
    for caller in callers:
        caller.sendall(stream_request(rate, rate * seconds))
    for caller in callers:
        answer = caller.recv(4096)
        assert b" 200 " in answer[:16], f"the warm-up got {answer!r}"
    return callers


def stream_request(rate, tokens):
    return (f"POST {STREAM}rate={rate}&n={tokens} HTTP/1.1\r\nHost: h\r\n"
            "Content-Length: 2\r\n\r\n{}").encode()


def to_the_end(connection):
    received = b""
    while not received.endswith(b"\r\n0\r\n\r\n"):
        piece = connection.recv(65536)
        assert piece, f"the stream ended early: {received[-200:]}"
        received += piece
    return received


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


def check_bytes(running, tokens=300):
    """Every token arrives, once, whole and in order, framed as chunks that end: or an error."""
    with connected(running.port, running.plain) as connection:
        connection.sendall(stream_request(0, tokens))
        received = to_the_end(connection)
    body = chunks(received.split(b"\r\n\r\n", 1)[1])
    events = body.split(b"\n\n")
    assert events[tokens:] == [b"data: [DONE]", b""], events[-3:]
    times = [event[event.index(b"@") + 1:][:16] for event in events[:tokens]]
    # But for the time at which it was sent, each is like the first.
    bare = {event.replace(b"@" + when, b"@") for event, when in zip(events, times)}
    assert len(bare) == 1 and times == sorted(times), "tokens were changed or reordered"
    json.loads(bare.pop().removeprefix(b"data: "))


def chunks(data):
    """The body that chunks carry."""
    body = b""
    while True:
        size, data = data.split(b"\r\n", 1)
        length = int(size, 16)
        body += data[:length]
        assert data[length:length + 2] == b"\r\n"
        data = data[length + 2:]
        if not length:
            assert not data, data[:100]
            return body
