"""Tokens are not delayed and not joined: what the backend sends as one, the client reads as one."""

import json
import socket
import statistics
import time

from backend import CHUNKED, Backend
from harness import Stack
from wire import Client

EVENTS, PERIOD = 100, 0.020


def events(framing, sent):
    def handler(connection):
        connection.request()
        connection.send(CHUNKED if framing == "chunked" else b"HTTP/1.1 200 OK\r\n\r\n")
        start = time.monotonic() + PERIOD
        for number in range(EVENTS):
            time.sleep(max(0, start + number * PERIOD - time.monotonic()))
            sent.append(time.monotonic())
            event = b"data: " + json.dumps({"n": number}).encode() + b"\n\n"
            connection.chunk(event) if framing == "chunked" else connection.send(event)
        if framing == "chunked":
            connection.send(b"0\r\n\r\n")

    return handler


def reads(context, method="GET"):
    """Each read of the client after the head, with its time."""
    with Client(context.port) as client:
        client.send(f"{method} / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n".encode())
        while b"\r\n\r\n" not in client.buffer:
            assert client.fill()
        result = []
        while data := client.socket.recv(65536):
            result.append((time.monotonic(), data))
            if data.endswith(b"\r\n0\r\n\r\n") or data == b"0\r\n\r\n":
                break
        return result


def check(context, framing):
    """Three tries: on a machine that stands still for 20 ms two events are pending, and rightly
    come as one; a proxy that held events back would do so each time."""
    for attempt in range(3):
        try:
            return check_once(context, framing)
        except AssertionError:
            if attempt == 2:
                raise


def check_once(context, framing):
    sent = []
    context.backend.handler = events(framing, sent)
    got = [(when, data) for when, data in reads(context) if b"data: " in data]
    assert len(got) == EVENTS, f"{len(got)} reads for {EVENTS} events"
    for number, (_, data) in enumerate(got):
        assert data.count(b"data: ") == 1 and b'{"n": %d}\n\n' % number in data, data
    delays = [when - then for (when, _), then in zip(got, sent)]
    middle, worst = statistics.median(delays) * 1000, max(delays) * 1000
    print(f"    {framing}: delay p50 {middle:.2f} ms, worst {worst:.2f} ms")
    # A quarter of the period: no timer of any kind sits between, whatever the machine does else.
    assert middle < PERIOD * 1000 / 4, middle


def test_each_event_is_a_read_of_its_own(context):
    check(context, "chunked")


def test_each_event_is_a_read_of_its_own_until_close(context):
    check(context, "until close")


def test_pieces_of_a_chunk_are_passed_on_at_once(context):
    """Half a chunk is not held back until its other half comes."""

    def handler(connection):
        connection.request()
        connection.send(CHUNKED + b"a\r\n01234")
        time.sleep(0.3)
        connection.send(b"56789\r\n0\r\n\r\n")

    context.backend.handler = handler
    with Client(context.port) as client:
        started = time.monotonic()
        client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        while b"01234" not in client.buffer:
            assert client.fill()
        assert time.monotonic() - started < 0.25, "held back"
        while not client.buffer.endswith(b"56789\r\n0\r\n\r\n"):
            assert client.fill()


def test_pieces_of_a_request_are_passed_on_at_once(context):
    arrived = []

    def handler(connection):
        connection.head()
        while len(arrived) < 3:
            if not connection.buffer:
                connection.fill()
            arrived.append((time.monotonic(), connection.buffer))
            connection.buffer = b""
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    context.backend.handler = handler
    with Client(context.port) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n")
        sent = []
        for byte in (b"a", b"b", b"c"):
            time.sleep(0.1)
            sent.append(time.monotonic())
            client.send(byte)
        assert client.answer().status == 200
    assert [data for _, data in arrived] == [b"a", b"b", b"c"], arrived
    assert all(when - then < 0.05 for (when, _), then in zip(arrived, sent))


def test_a_backend_that_waits_for_acknowledgements_is_not_slowed(context):
    """Without TCP_NODELAY a sender holds each second piece back until the first is acknowledged:
    40 ms, where acknowledgements come late. Once that shows they come at once."""

    def waiting(connection):
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
        connection.request()
        connection.send(CHUNKED)
        for number in range(20):
            time.sleep(0.005)
            connection.chunk(b"data: %d\n\n" % number)
        connection.send(b"0\r\n\r\n")

    backend = Backend()
    backend.handler = waiting
    try:
        # A backend of its own, since one that was seen not to wait is believed for a minute.
        with Stack(context.ratel, f"http://127.0.0.1:{backend.port}") as stack:
            own = type(context)(context.ratel, backend, stack)
            counts = [sum(b"data: " in data for _, data in reads(own)) for _ in range(3)]
    finally:
        backend.close()
    print(f"    reads of 20 pieces, 5 ms apart: {counts}")
    # Held back they come by eight; on a slow machine some still meet.
    assert counts[2] >= 12, counts
