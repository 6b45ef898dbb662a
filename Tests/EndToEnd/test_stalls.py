"""Peers that take nothing of what they asked for, over HTTP/2; what they hold comes back."""

import contextlib
import pathlib
import struct
import threading
import time

from backend import answer
from harness import ANONYMOUS, Process, Stack, free_port, scratch, wait_until
from rawh2 import PING, RESET, WINDOW, RawH2
from wire import Client, metric, post

NO_WINDOW = struct.pack(">HI", 4, 0)


@contextlib.contextmanager
def impatient(context, *more):
    """A sidecar for anybody that waits two seconds for a reader, with few buffers."""
    with scratch() as path:
        folder, port, admin = pathlib.Path(path), free_port(), free_port()
        (folder / "anonymous.yaml").write_text(ANONYMOUS)
        command = [context.ratel, "serve", "--listen", f"127.0.0.1:{port}", "--workers", "1"]
        command += ["--admin", f"127.0.0.1:{admin}", "--attester", "simulated"]
        command += ["--backend", f"http://127.0.0.1:{context.backend.port}"]
        command += ["--policy", folder / "anonymous.yaml", "--gap-timeout", "2s", *more]
        with Process("serve", command, folder) as process:
            process.wait_for_port(port)
            yield port, admin


def large(connection):
    while True:
        connection.request()
        connection.send(answer(b"x" * 30_000))


def test_answers_that_nobody_takes_are_given_up(context):
    """The backend has said all, the caller opens no window: 100 streams hold every buffer."""
    context.backend.handler = large
    with contextlib.ExitStack() as stack:
        port, _ = stack.enter_context(impatient(context, "--buffers", "64"))
        idle = stack.enter_context(RawH2(port, settings=NO_WINDOW))
        for number in range(100):
            idle.request(1 + 2 * number)
        ended = set()
        while len(ended) < 100:
            frame = idle.frame()
            assert frame, "the connection ended"
            if frame.kind == RESET:
                ended.add(frame.stream)
        with RawH2(port) as other:
            other.request(1)
            fields, body = other.answer(1)
            assert fields[":status"] == "200" and len(body) == 30_000


def test_a_peer_that_talks_and_never_reads_is_ended(context):
    """Its signs of life keep the connection, and all that waits for it, no longer than a gap."""
    context.backend.handler = large
    with impatient(context) as (port, admin), RawH2(port) as deaf:
        stop = threading.Event()

        def talk():
            while not stop.wait(0.3):
                deaf.send(PING, payload=b"alive!!!")

        # Windows for all of it, so that what stops is TCP.
        deaf.send(WINDOW, payload=struct.pack(">I", 1 << 30))
        for number in range(2_000):
            deaf.request(1 + 2 * number)
            if number % 50 == 0:
                time.sleep(0.02)
        talking = threading.Thread(target=talk)
        talking.start()
        try:
            wait_until(lambda: metric(admin, "ratel_streams") == 0, 40, "its streams ended")
            wait_until(lambda: metric(admin, "ratel_connections") == 0, 40, "its connection ended")
        finally:
            stop.set()
            talking.join()


def test_answers_that_wait_for_buffers_arrive(context):
    """60 callers and 16 buffers: an answer whose stream ended while it waited is still told."""

    def echo(connection):
        while True:
            connection.send(answer(connection.request().body))

    def call(number):
        with contextlib.suppress(OSError):
            for turn in range(4):
                body = b"%04d %d " % (number, turn) * 700
                with Client(stack.port, timeout=20) as client:
                    # Two at once, so that the second waits here with a buffer of its own.
                    client.send(post("/", body) * 2)
                    for _ in range(2):
                        got = client.answer("POST")
                        outcomes.append(got.body == body or got.status in (None, 503))

    context.backend.handler, outcomes = echo, []
    backend = f"http://127.0.0.1:{context.backend.port}"
    few = ["--buffers", "16", "--workers", "1"]
    with Stack(context.ratel, backend, simulated=True, connect=few) as stack:
        threads = [threading.Thread(target=call, args=(number,)) for number in range(60)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(outcomes) == 480 and all(outcomes), (len(outcomes), outcomes.count(False))
