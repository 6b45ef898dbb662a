"""Backends, clients and TPMs that die in the middle; the process goes on serving."""

import hashlib
import json
import signal
import socket
import struct
import threading
import time

from backend import CHUNKED, answer, hello
from harness import Stack, free_port, wait_until
from wire import Client, ask, get, post


def endless(seen):
    """Streams until the peer is gone, and says when that was."""

    def handler(connection):
        connection.request()
        connection.send(CHUNKED)
        try:
            while True:
                connection.chunk(b"data: x\n\n")
                time.sleep(0.01)
        except OSError:
            seen.append(time.monotonic())

    return handler


def begin(context):
    client = Client(context.port, timeout=10)
    client.send(b"GET /stream HTTP/1.1\r\nHost: h\r\n\r\n")
    while client.buffer.count(b"data: x") < 3:
        assert client.fill()
    return client


def check_serves(context):
    context.backend.handler = hello
    assert get(context.port).body == b"GET / 0"


def test_backend_that_dies_mid_stream(context):
    for way in ("end", "reset"):

        def handler(connection):
            connection.request()
            connection.send(CHUNKED)
            for _ in range(5):
                connection.chunk(b"data: x\n\n")
                time.sleep(0.01)
            if way == "reset":
                connection.reset()

        context.backend.handler = handler
        got = get(context.port)
        assert got.status == 200 and not got.complete and got.closed, way
        assert got.body == b"data: x\n\n" * 5 or way == "reset", got.body
    check_serves(context)


def test_client_that_dies_mid_stream_frees_the_backend(context):
    for way in ("close", "reset"):
        seen = []
        context.backend.handler = endless(seen)
        client = begin(context)
        if way == "reset":
            linger = struct.pack("ii", 1, 0)
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        left = time.monotonic()
        client.close()
        wait_until(lambda: seen, 3, f"the backend's end after a {way}")
        took = seen[0] - left
        print(f"    {way}: the backend knew after {took * 1000:.0f} ms")
        # The stream's next write or two: 10 ms each; the rest is the machine's.
        assert took < 0.5, took
    check_serves(context)


def test_a_pooled_connection_that_closes_under_a_request(context):
    """What may be sent twice is sent again; what may not is a 502, and was sent once."""
    seen = []

    def once(connection):
        connection.request()
        connection.send(answer(b"once"))
        seen.append(connection.request().method)

    context.backend.handler = once
    for turn in range(20):
        got = get(context.port)
        assert got.body == b"once", (turn, got.status, got.body)
    assert "GET" in seen
    assert get(context.port).body == b"once"
    got = ask(context.port, post("/", b"{}"))
    assert (got.status, seen.count("POST")) in ((502, 1), (200, 0)), (got.status, seen)


def test_client_that_dies_before_the_first_byte(context):
    """Even with nothing to send, the backend is told."""
    seen = []

    def handler(connection):
        connection.request()
        if connection.wait_for_end(5):
            seen.append(time.monotonic())

    context.backend.handler = handler
    client = Client(context.port)
    client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    time.sleep(0.2)
    left = time.monotonic()
    client.close()
    wait_until(lambda: seen, 3, "the backend's end")
    assert seen[0] - left < 0.5
    check_serves(context)


def test_client_that_dies_in_its_upload(context):
    seen = []

    def handler(connection):
        try:
            connection.request()
        except EOFError:
            seen.append("cut")

    context.backend.handler = handler
    client = Client(context.port)
    client.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n12345")
    time.sleep(0.2)
    client.close()
    wait_until(lambda: seen, 3, "the cut upload at the backend")
    check_serves(context)


def test_a_slow_reader_stops_the_backend_and_costs_no_memory(context):
    size = 64 * 1024 * 1024
    sent = [0]

    def handler(connection):
        connection.request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        piece = bytes(range(256)) * 256
        while sent[0] < size:
            connection.send(piece)
            sent[0] += len(piece)

    context.backend.handler = handler
    processes = (context.stack.serve, context.stack.connect)
    before = [process.resident() for process in processes]
    with Client(context.port, timeout=60) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        time.sleep(2)
        held = sent[0]
        grown = [process.resident() - start for process, start in zip(processes, before)]
        print(f"    held at {held / 1e6:.1f} MB; grown by {grown} KiB")
        # Six socket buffers of up to 6 MiB (tcp_wmem, tcp_rmem) lie on the way.
        assert held < 40_000_000, held
        assert max(grown) < 16 * 1024, grown
        while b"\r\n\r\n" not in client.buffer:
            assert client.fill()
        body = client.buffer.split(b"\r\n\r\n", 1)[1]
        count, digest = len(body), hashlib.sha256(body)
        while count < size:
            data = client.socket.recv(1 << 20)
            assert data, "cut short"
            count += len(data)
            digest.update(data)
    assert count == size
    assert digest.digest() == hashlib.sha256(bytes(range(256)) * (size // 256)).digest()
    check_serves(context)


def test_a_slow_backend_stops_the_upload(context):
    size = 64 * 1024 * 1024
    release = threading.Event()
    total = [0]

    def handler(connection):
        connection.head()
        release.wait(10)
        total[0] = len(connection.buffer)
        while total[0] < size:
            total[0] += len(connection.socket.recv(1 << 20))
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    context.backend.handler = handler
    processes = (context.stack.serve, context.stack.connect)
    before = [process.resident() for process in processes]
    with Client(context.port, timeout=60) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size)
        sent = 0
        client.socket.settimeout(1)
        try:
            while sent < size:
                sent += client.socket.send(bytes(65536)[: size - sent])
        except TimeoutError:
            pass
        assert sent < 40_000_000, sent
        grown = [process.resident() - start for process, start in zip(processes, before)]
        assert max(grown) < 16 * 1024, grown
        release.set()
        client.socket.settimeout(60)
        while sent < size:
            sent += client.socket.send(bytes(65536)[: size - sent])
        assert client.answer().status == 200
    assert total[0] == size
    check_serves(context)


def stalled(context, port, count):
    """Clients that ask for 100 MB, more than the sockets on the way can hold, and read nothing."""

    def handler(connection):
        connection.request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        for _ in range(100):
            connection.send(piece)

    piece = bytes(1_000_000)

    context.backend.handler = handler
    clients = [Client(port) for _ in range(count)]
    for client in clients:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    return clients


def test_stalled_readers_do_not_stop_others(context):
    clients = stalled(context, context.port, 200)
    time.sleep(1)
    context.backend.current = hello  # For new connections: those that stand still stay.
    assert get(context.port).body == b"GET / 0"
    for client in clients:
        client.close()
    check_serves(context)


def test_exhausted_buffers_stop_reading_and_come_back(context):
    """More stalled readers than buffers: no crash, no growth, and service when they leave."""
    few = ["--workers", "1", "--buffers", "16"]
    backend = f"http://127.0.0.1:{context.backend.port}"
    with Stack(context.ratel, backend, serve=few, connect=few) as stack:
        assert get(stack.port).status == 200
        before = stack.connect.resident(), stack.serve.resident()
        clients = stalled(context, stack.port, 60)
        time.sleep(2)
        after = stack.connect.resident(), stack.serve.resident()
        grown = [now - then for now, then in zip(after, before)]
        # 60 connections of some 100 KiB each, TLS and all; not one buffer more than 16.
        assert max(grown) < 60 * 100, grown
        for client in clients:
            client.close()
        context.backend.handler = hello
        wait_until(lambda: get(stack.port).body == b"GET / 0", 10, "service after exhaustion")
        assert stack.connect.running() and stack.serve.running()


def test_zz_tpm_that_dies_while_serving(context):
    """Open channels go on; a new one is refused with a reason, and the processes live."""
    tpm = getattr(context.stack, "tpm", None)
    if tpm is None:
        print("    skipped: no software TPM")
        return
    seen = []
    context.backend.handler = endless(seen)
    client = begin(context)
    tpm.stop(signal.SIGKILL)
    already = client.buffer.count(b"data: x")
    while client.buffer.count(b"data: x") < already + 20:
        assert client.fill(), "the open stream was cut"
    client.close()
    wait_until(lambda: seen, 3, "the backend's end")
    context.backend.handler = hello
    assert get(context.port).status == 200, "the open channel takes no more requests"
    port = free_port()
    with context.stack.helper("other", port) as other:
        other.wait_for_port(port)
        got = get(port)
    assert got.status in (502, 503), (got.status, got.body)
    assert json.loads(got.body)["error"]["code"], got.body
    assert context.stack.serve.running() and context.stack.connect.running()
