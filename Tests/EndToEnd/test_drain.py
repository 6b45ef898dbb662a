"""How a service ends: readiness, then new requests, then streams, then the process; and for whom it
is asked by `GET /drain`."""

import contextlib
import json
import signal
import subprocess
import threading
import time

from backend import CHUNKED, answer
from harness import Stack, listening, open_sidecar, wait_until
from proxied import backends, entry, listener, proxy, route
from wire import Client, TLSClient, get

STREAMS = 200


def held(release, began):
    """Streams that go on until `release` is set, and short answers for the path /short."""
    def handler(connection):
        while True:
            request = connection.request()
            if request.target == "/short":
                connection.send(answer(b"short"))
                continue
            connection.send(CHUNKED)
            connection.chunk(b"data: first\n\n")
            began.append(connection)
            while not release.wait(0.2):
                connection.chunk(b"data: more\n\n")
            connection.chunk(b"data: [DONE]\n\n")
            connection.send(b"0\r\n\r\n")
            return

    return handler


def streams(port, count, replies):
    """So many callers, each with its answer read in the background."""
    def read(client):
        with client:
            replies.append(client.answer())

    threads = []
    for _ in range(count):
        client = Client(port, timeout=60)
        client.send(b"GET /long HTTP/1.1\r\nHost: h\r\n\r\n")
        threads.append(threading.Thread(target=read, args=(client,)))
        threads[-1].start()
    return threads


@contextlib.contextmanager
def under_way(context, count, *options):
    """A stack with so many streams, which go on until what is answered second is set."""
    release, began, replies = threading.Event(), [], []
    context.backend.handler = held(release, began)
    with Stack(context.ratel, f"http://127.0.0.1:{context.backend.port}", serve=options) as stack:
        threads = streams(stack.port, count, replies)
        wait_until(lambda: len(began) == count, 30, f"{count} streams")
        yield stack, release, threads, replies


def readiness(port):
    return get(port, "/readyz")


def code(reply):
    return json.loads(reply.body)["error"]["code"]


def assert_draining(reply):
    assert reply.status == 503, (reply.status, reply.body)
    assert code(reply) == "draining" and reply.field("retry-after") == "1", reply.body


def assert_whole(replies, count):
    assert len(replies) == count, len(replies)
    for reply in replies:
        assert reply.status == 200 and reply.complete and reply.body.endswith(b"[DONE]\n\n")


def test_200_streams_outlive_a_signal_and_new_requests_are_told_to_retry(context):
    options = ["--drain-delay", "1500ms", "--grace", "60s"]
    with under_way(context, STREAMS, *options) as (stack, release, threads, replies):
        assert readiness(stack.admin_port).status == 200
        stack.serve.child.send_signal(signal.SIGTERM)
        wait_until(lambda: readiness(stack.admin_port).status == 503, 1, "readiness to be false")
        assert b"listening: draining" in readiness(stack.admin_port).body
        # First nothing else changes: who has not heard of it yet is served.
        assert get(stack.port, "/short").body == b"short"
        wait_until(lambda: get(stack.port, "/short").status == 503, 5, "the first refusal")
        for _ in range(3):
            assert_draining(get(stack.port, "/short"))
        assert stack.serve.running() and not replies
        release.set()
        for thread in threads:
            thread.join(30)
        assert_whole(replies, STREAMS)
        wait_until(lambda: not stack.serve.running(), 5, "the end")
        assert stack.serve.child.returncode == 0
        assert not listening(stack.serve_port)


def over_tls(port, *options):
    """What curl sees; its status and the body."""
    found = subprocess.run(
        ["curl", "-sk", "--max-time", "10", "-w", "\n%{http_code} %{http_version}", *options,
         f"https://127.0.0.1:{port}/short"], capture_output=True, text=True)
    body, _, last = found.stdout.rpartition("\n")
    return body, *last.split()


def test_ordinary_callers_are_told_to_retry_over_both_versions(context):
    release, began, replies = threading.Event(), [], []
    context.backend.handler = held(release, began)
    words = ("--attester", "none", "--workers", "2")
    with open_sidecar(context, *words) as (port, serve):
        client = TLSClient(port)
        client.send(b"GET /long HTTP/1.1\r\nHost: h\r\n\r\n")
        thread = threading.Thread(target=lambda: replies.append(client.answer()))
        thread.start()
        wait_until(lambda: began, 10, "the stream")
        assert over_tls(port, "--http2")[1:] == ("200", "2")
        serve.child.send_signal(signal.SIGTERM)
        wait_until(lambda: "draining" in serve.text(), 5, "the drain")
        for version, name in (("--http1.1", "1.1"), ("--http2", "2")):
            for _ in range(5):
                body, status, spoken = over_tls(port, version)
                assert (status, spoken) == ("503", name), (status, spoken, body)
                assert json.loads(body)["error"]["code"] == "draining"
        # What is open and says nothing does not hold the drain up.
        idle = Client(port, timeout=30)
        release.set()
        thread.join(20)
        assert_whole(replies, 1)
        wait_until(lambda: not serve.running(), 5, "the end")
        assert serve.child.returncode == 0
        idle.close()
        client.close()


def ask_drain(port, replies):
    thread = threading.Thread(target=lambda: replies.append(get(port, "/drain")))
    thread.start()
    return thread


def test_a_request_drains_and_is_answered_when_the_streams_have_ended(context):
    drained = []
    options = ["--admin-drain", "on", "--grace", "60s"]
    with under_way(context, 5, *options) as (stack, release, threads, replies):
        asking = ask_drain(stack.admin_port, drained)
        wait_until(lambda: readiness(stack.admin_port).status == 503, 5, "readiness to be false")
        assert_draining(get(stack.port, "/short"))
        time.sleep(0.5)
        assert not drained
        release.set()
        for thread in threads + [asking]:
            thread.join(20)
        assert_whole(replies, 5)
        assert drained[0].status == 200 and drained[0].body == b"drained\n"
        # It is not the end yet: that is the signal's, which finds nothing left to do.
        assert stack.serve.running()
        assert get(stack.admin_port, "/drain").status == 200
        assert_draining(get(stack.port, "/short"))
        stack.serve.child.send_signal(signal.SIGTERM)
        wait_until(lambda: not stack.serve.running(), 2, "the end")
        assert stack.serve.child.returncode == 0


def test_a_signal_during_a_requested_drain_ends_with_it(context):
    drained = []
    options = ["--admin-drain", "on", "--grace", "60s"]
    with under_way(context, 2, *options) as (stack, release, threads, replies):
        asking = ask_drain(stack.admin_port, drained)
        wait_until(lambda: "draining" in stack.serve.text(), 5, "the drain")
        stack.serve.child.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert stack.serve.running()
        release.set()
        for thread in threads + [asking]:
            thread.join(20)
        assert_whole(replies, 2)
        assert drained[0].status == 200
        wait_until(lambda: not stack.serve.running(), 5, "the end")
        assert stack.serve.child.returncode == 0


def test_a_requested_drain_says_when_its_time_is_over(context):
    drained = []
    options = ["--admin-drain", "on", "--grace", "300ms"]
    with under_way(context, 1, *options) as (stack, release, threads, replies):
        ask_drain(stack.admin_port, drained).join(10)
        assert drained[0].status == 504 and code(drained[0]) == "drain.grace"
        # What goes on goes on until the signal.
        release.set()
        threads[0].join(10)
        assert_whole(replies, 1)
        # The grace was not enough, whether the signal came before its end or, as here, after.
        stack.serve.child.send_signal(signal.SIGTERM)
        wait_until(lambda: not stack.serve.running(), 5, "the end")
        assert stack.serve.child.returncode == 1


def ends(process, least, most):
    """By itself, with status 0, within these seconds from now."""
    began = time.monotonic()
    wait_until(lambda: not process.running(), most, "the end")
    assert time.monotonic() - began >= least, time.monotonic() - began
    assert process.child.returncode == 0, process.child.returncode
    assert "no signal followed the drain" in process.text(), process.text()[-1000:]


def test_a_requested_drain_without_a_signal_ends_by_itself(context):
    """As where a probe has the kubelet restart the backend alone: its preStop asks, nobody signals,
    and what takes nothing any more is started anew."""
    drained = []
    options = ["--admin-drain", "on", "--grace", "60s", "--drain-end", "1500ms"]
    with under_way(context, 1, *options) as (stack, release, threads, replies):
        asking = ask_drain(stack.admin_port, drained)
        # The time runs from the end of the drain, not from its beginning.
        time.sleep(2)
        assert stack.serve.running() and not drained
        release.set()
        for thread in threads + [asking]:
            thread.join(20)
        assert_whole(replies, 1)
        assert drained[0].status == 200, drained[0].body
        assert_draining(get(stack.port, "/short"))
        ends(stack.serve, 0.5, 5)
    options[3] = "300ms"
    with under_way(context, 1, *options) as (stack, release, threads, replies):
        ask_drain(stack.admin_port, drained).join(10)
        assert drained[1].status == 504, drained[1].body
        ends(stack.serve, 0.5, 5)
        release.set()
        for thread in threads:
            thread.join(20)
        assert not replies[0].complete


def test_who_asked_is_answered_however_short_the_time_is(context):
    with Stack(context.ratel, f"http://127.0.0.1:{context.backend.port}",
               serve=["--admin-drain", "on", "--drain-end", "0s"]) as stack:
        assert get(stack.admin_port, "/drain").body == b"drained\n"
        ends(stack.serve, 0, 3)


def test_a_whole_proxy_ends_so_too(context):
    with backends("a") as (a,):
        document = {"listeners": [listener()], "backends": [entry(a)],
                    "routes": [route("all", ["a"])], "admin_drain": "on", "drain_end": "1s"}
        with proxy(context, document) as running:
            assert get(running.admin, "/drain").status == 200
            assert running.process.running()
            ends(running.process, 0.3, 5)


def test_nobody_drains_unless_it_is_allowed(context):
    with Stack(context.ratel, f"http://127.0.0.1:{context.backend.port}") as stack:
        assert get(stack.admin_port, "/drain").status == 404
        assert readiness(stack.admin_port).status == 200
    with Stack(context.ratel, f"http://127.0.0.1:{context.backend.port}",
               serve=["--admin-drain", "on"]) as stack:
        with Client(stack.admin_port) as client:
            client.send(b"POST /drain HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
            assert client.answer().status == 405
        assert readiness(stack.admin_port).status == 200
