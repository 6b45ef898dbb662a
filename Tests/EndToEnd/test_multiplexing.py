"""`connect` carries every caller over one attested connection, and each as if it were alone."""

import contextlib
import os
import signal
import threading
import time

from backend import CHUNKED, answer, hello
from harness import Stack, wait_until
from wire import Client, get, metric


def held(release, began):
    """Answers begin, and end when they are let."""

    def handler(connection):
        connection.request()
        connection.send(CHUNKED)
        connection.chunk(b"begun")
        began.append(connection)
        release.wait(20)
        connection.chunk(b"ended")
        connection.send(b"0\r\n\r\n")

    return handler


@contextlib.contextmanager
def callers(port, count):
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(port, timeout=30)) for _ in range(count)]
        for client in clients:
            client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        yield clients


def opened(stack):
    return metric(stack.admin_port, "ratel_connections")


def test_callers_share_a_connection_until_it_is_full(context):
    """A burst of cold callers costs one exchange; the 257th stream at once asks for a second."""
    release, began = threading.Event(), []
    with Stack(context.ratel, f"http://127.0.0.1:{context.backend.port}") as stack:
        context.backend.handler = held(release, began)
        with callers(stack.port, 200) as first:
            wait_until(lambda: len(began) == 200, 20, "200 answers")
            # The one that looked at the server for its policy is gone after a second.
            wait_until(lambda: opened(stack) == 1, 10, "one connection")
            with callers(stack.port, 100) as more:
                wait_until(lambda: len(began) == 300, 20, "300 answers")
                assert opened(stack) == 2
                release.set()
                for client in first + more:
                    got = client.answer()
                    assert (got.status, got.body) == (200, b"begunended"), got.status
        # Those who come later find places again.
        context.backend.handler = hello
        assert get(stack.port).status == 200 and opened(stack) == 2


def test_a_caller_that_leaves_ends_its_stream_alone(context):
    release, began, ended = threading.Event(), [], []

    def handler(connection):
        request = connection.request()
        if request.target == "/stays":
            held(release, began)(Again(connection, request))
        else:
            connection.send(CHUNKED)
            connection.chunk(b"begun")
            began.append(connection)
            ended.append(connection.wait_for_end(10))

    context.backend.handler = handler
    with Client(context.port) as stays:
        stays.send(b"GET /stays HTTP/1.1\r\nHost: h\r\n\r\n")
        with Client(context.port) as leaves:
            leaves.send(b"GET /leaves HTTP/1.1\r\nHost: h\r\n\r\n")
            wait_until(lambda: len(began) == 2, 10, "both answers")
        wait_until(lambda: ended, 10, "the backend heard that its caller left")
        assert ended == [True]
        release.set()
        assert stays.answer().body == b"begunended"


class Again:
    """A connection whose request was read already."""

    def __init__(self, connection, request):
        self.request = lambda: request
        self.send, self.chunk = connection.send, connection.chunk


def test_an_answer_that_is_cut_is_cut_for_its_caller_alone(context):
    release, began = threading.Event(), []

    def handler(connection):
        request = connection.request()
        if request.target == "/cut":
            connection.send(CHUNKED)
            connection.chunk(b"begun")
            time.sleep(0.2)  # Until the caller has the head: before, it would hear a 502.
            return connection.reset()
        return held(release, began)(Again(connection, request))

    context.backend.handler = handler
    with Client(context.port) as whole:
        whole.send(b"GET /whole HTTP/1.1\r\nHost: h\r\n\r\n")
        wait_until(lambda: began, 10, "the answer")
        cut = get(context.port, "/cut")
        assert not cut.complete and cut.closed, cut.body
        release.set()
        got = whole.answer()
        assert got.complete and got.body == b"begunended"


def test_heads_that_http1_takes_pass_over_http2(context):
    """HTTP/2 counts 32 bytes more for each field, and its limit allows for them."""
    seen = []
    large = [f"X-{number}: {'v' * 150}" for number in range(90)]

    def handler(connection):
        while True:
            seen.append(connection.request())
            connection.send(answer(b"", *large))

    context.backend.handler = handler
    got = get(context.port, "/", *large)
    assert got.status == 200 and len(seen) == 1, (got.status, got.body)
    names = [f"x-{number}" for number in range(90)]
    assert [got.field(name) for name in names] == ["v" * 150] * 90
    assert [seen[0].field(name) for name in names] == ["v" * 150] * 90


def test_callers_that_leave_by_the_hundred_end_nobody_else(context):
    """2,000 streams are cancelled as fast as they begin, twice what one connection allows."""
    release, began = threading.Event(), []
    context.backend.handler = held(release, began)
    with Client(context.port) as stays:
        stays.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        wait_until(lambda: began, 10, "the answer that stays")
        for _ in range(50):
            with callers(context.port, 40) as leaving:
                for client in leaving:
                    line = client.line()
                    assert line.startswith(b"HTTP/1.1 200"), line
        release.set()
        got = stays.answer()
        assert got.complete and got.body == b"begunended"


def test_a_slow_caller_stalls_nobody_else(context):
    """Its answer fills every window and buffer on the way; others' requests and answers pass."""

    def handler(connection):
        request = connection.request()
        if request.target == "/flood":
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
            with contextlib.suppress(OSError):
                for _ in range(1000):
                    connection.send(b"x" * 100_000)
        else:
            connection.send(answer(request.body))

    context.backend.handler = handler
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            slow = stack.enter_context(Client(context.port))
            slow.send(b"GET /flood HTTP/1.1\r\nHost: h\r\n\r\n")
        time.sleep(1)
        for size in (0, 300_000):
            with Client(context.port) as client:
                client.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size)
                client.send(b"y" * size)
                got = client.answer("POST")
                assert got.status == 200 and len(got.body) == size


def test_stalled_uploads_stall_nobody_else(context):
    """Bodies that no backend reads wait, each in its own window."""
    release, stalled = threading.Event(), []

    def handler(connection):
        if b"/stalled" in connection.head():
            stalled.append(connection)
            release.wait(20)
        connection.send(answer(b"ok"))

    context.backend.handler = handler
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            client = stack.enter_context(Client(context.port))
            client.socket.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.socket.send(b"POST /stalled HTTP/1.1\r\nHost: h\r\n"
                                   b"Content-Length: 10000000\r\n\r\n" + b"z" * 9_000_000)
        wait_until(lambda: len(stalled) == 20, 10, "20 stalled uploads")
        assert get(context.port).status == 200
        release.set()


def test_a_server_that_drains_ends_every_stream_in_its_time(context):
    release, began = threading.Event(), []
    context.backend.handler = held(release, began)
    with Stack(context.ratel, f"http://127.0.0.1:{context.backend.port}") as stack:
        with callers(stack.port, 50) as clients:
            wait_until(lambda: len(began) == 50, 20, "50 answers")
            os.kill(stack.serve.pid, signal.SIGTERM)
            wait_until(lambda: "draining" in stack.serve.text(), 10, "the drain")
            # What comes now needs another connection, and hears that the server drains.
            got = get(stack.port)
            assert got.status == 503 and b'"draining"' in got.body, got.body
            release.set()
            for client in clients:
                answer_ = client.answer()
                assert answer_.complete and answer_.body == b"begunended"


def test_pipelined_requests_find_their_own_streams(context):
    def handler(connection):
        while True:
            request = connection.request()
            connection.send(answer(request.target.encode()))

    context.backend.handler = handler
    with Client(context.port) as client:
        client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % n for n in range(50)))
        for number in range(50):
            assert client.answer().body == b"/%d" % number


def test_what_goes_out_is_counted(context):
    """Records, their bytes, reads, writes and waits, for what a token costs."""
    context.backend.handler = hello
    names = ["ratel_tls_records_total", "ratel_tls_record_bytes_total", "ratel_loop_waits_total",
             "ratel_socket_reads_total", "ratel_socket_writes_total"]
    before = [metric(context.stack.admin_port, name) for name in names]
    for _ in range(10):
        assert get(context.port).status == 200
    after = [metric(context.stack.admin_port, name) for name in names]
    grown = [now - then for now, then in zip(after, before)]
    assert grown[0] >= 10 and grown[1] >= 10 * 20 and min(grown[2:]) >= 10, grown
