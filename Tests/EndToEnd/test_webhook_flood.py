"""`ratel webhook` and callers that hold back the ends of their questions: its memory stays what
its container has room for, and the API server is answered meanwhile."""

import contextlib
import http.client
import json
import pathlib
import select
import socket
import threading
import time

from harness import wait_until
from kubernetes import NAME, pod, webhook

LARGEST = 3 << 20
SMALL = 128 << 10


class Held:
    """A question whose last byte is held back, from a host of its own."""

    def __init__(self, running, host, size):
        raw = socket.socket()
        raw.bind((host, 0))
        raw.settimeout(30)
        raw.connect(("127.0.0.1", running.port))
        self.connection = running.context().wrap_socket(raw, server_hostname=NAME)
        self.connection.sendall(
            b"POST /mutate HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size)
        self.thread = threading.Thread(target=self.fill, args=(size - 1,))
        self.thread.start()

    def fill(self, size):
        # Who is refused at once may be cut before it has sent all.
        with contextlib.suppress(OSError):
            self.connection.sendall(b" " * size)

    def is_answered(self):
        return bool(select.select([self.connection], [], [], 0)[0])

    def reply(self):
        """The status, Retry-After and the code."""
        reply = http.client.HTTPResponse(self.connection)
        reply.begin()
        error = json.loads(reply.read())["error"]
        return reply.status, reply.getheader("retry-after"), error["code"]

    def close(self):
        self.connection.close()
        self.thread.join(10)


@contextlib.contextmanager
def flood():
    """Adds questions, so many from each host, and ends them all."""
    questions = []

    def add(running, hosts, count, size):
        added = [Held(running, f"127.0.0.{host}", size) for host in hosts for _ in range(count)]
        questions.extend(added)
        return added

    try:
        yield add
    finally:
        for one in questions:
            one.close()


def settled(questions, kept):
    """Those that are kept waiting, once all others were refused."""
    wait_until(lambda: sum(not one.is_answered() for one in questions) <= kept, 10, "refusals")
    time.sleep(0.3)
    waiting = [one for one in questions if not one.is_answered()]
    assert len(waiting) == kept, len(waiting)
    refused = {one.reply() for one in questions if one not in waiting}
    assert refused == {(503, "1", "webhook.busy")}, refused
    return waiting


def peak(running):
    """The most memory that the process had, in MiB."""
    status = pathlib.Path(f"/proc/{running.process.child.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) >> 10


def ask_largest(running):
    """A question of the most bytes that there may be: its status."""
    request = {"uid": "u-1", "kind": {"group": "", "version": "v1", "kind": "Pod"},
               "operation": "CREATE", "namespace": "ai", "object": pod()}
    body = json.dumps({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})
    return running.post(body.ljust(LARGEST))[0]


def test_a_flood_without_an_end_keeps_nobody_waiting(context):
    with webhook(context) as running, flood() as add:
        before, began = peak(running), time.monotonic()
        # Of large ones each host has two thirds of its quarter: 8 of 12 MiB.
        waiting = settled(add(running, range(2, 8), 20, LARGEST), 12)
        # Of small ones as much as it leaves free, which is half of the last 12 MiB.
        waiting += settled(add(running, [9], 110, SMALL), 48)
        for _ in range(20):
            asked = time.monotonic()
            assert running.review(pod())["allowed"]
            assert time.monotonic() - asked < 2
        # What is held is 42 MiB; the chart gives the container 256.
        assert peak(running) < before + 64, (before, peak(running))
        # Nobody holds anything for longer than ten seconds, and then there is room again.
        for one in waiting:
            assert one.reply() == (408, None, "request.body_timeout")
        assert 9 < time.monotonic() - began < 30
        for _ in range(20):
            assert ask_largest(running) == 200
        assert peak(running) < before + 90, (before, peak(running))


def test_many_hosts_leave_room_for_one_more(context):
    """Seven that send small questions, 52 MiB together."""
    with webhook(context) as running, flood() as add:
        questions = add(running, range(2, 9), 60, SMALL)
        waiting = sum(not one.is_answered() for one in questions)
        assert 300 < waiting < 384, waiting
        for _ in range(20):
            assert running.review(pod())["allowed"]


def test_whoever_trickles_has_no_longer(context):
    with webhook(context) as running:
        began = time.monotonic()
        with running.context().wrap_socket(
                socket.create_connection(("127.0.0.1", running.port)),
                server_hostname=NAME) as connection:
            connection.sendall(b"POST /mutate HTTP/1.1\r\nHost: h\r\nContent-Length: 999\r\n\r\n")
            while not select.select([connection], [], [], 0.2)[0]:
                connection.sendall(b" ")
                assert time.monotonic() - began < 15, "a byte each 0.2 s goes on"
            assert b" 408 " in connection.recv(100)
            assert time.monotonic() - began > 9


def test_whoever_leaves_gives_back_what_it_took(context):
    with webhook(context) as running, flood() as add:
        for _ in range(3):
            questions = add(running, [1], 2, LARGEST)
            wait_until(lambda: ask_largest(running) == 503, 5, "no room")
            # Another host has its own.
            (other,) = add(running, [2], 1, LARGEST)
            time.sleep(0.3)
            assert not other.is_answered()
            for one in [*questions, other]:
                one.close()
            wait_until(lambda: ask_largest(running) == 200, 5, "room")


def test_connections_have_a_number(context):
    with webhook(context) as running, contextlib.ExitStack() as stack:
        def connect():
            return stack.enter_context(socket.create_connection(("127.0.0.1", running.port), 5))

        for _ in range(1_000):
            connect()
        wait_until(lambda: connect().recv(1) == b"", 2, "an end at once")
