"""SIGTERM drains, a second one ends at once."""

import signal
import threading
import time

from backend import CHUNKED
from harness import Stack, wait_until
from wire import Client, get


def streaming(events, period):
    def handler(connection):
        connection.request()
        connection.send(CHUNKED)
        for number in range(events):
            connection.chunk(b"data: %d\n\n" % number)
            time.sleep(period)
        connection.send(b"0\r\n\r\n")

    return handler


def fresh(context):
    return Stack(context.ratel, f"http://127.0.0.1:{context.backend.port}")


def begin(stack, replies):
    client = Client(stack.port, timeout=15)
    client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    while b"data: 2" not in client.buffer:
        assert client.fill()
    # What was read so far is the head and some events; the rest is read in the background.
    thread = threading.Thread(target=lambda: replies.append(client.answer()))
    thread.start()
    return thread


def test_a_drain_finishes_the_stream(context):
    context.backend.handler = streaming(75, 0.02)
    for name in ("serve", "connect"):
        with fresh(context) as stack:
            replies, process = [], getattr(stack, name)
            thread = begin(stack, replies)
            process.child.send_signal(signal.SIGTERM)
            wait_until(lambda: "draining" in process.text(), 2, f"{name} to drain")
            assert get(stack.port).status == 503
            thread.join(10)
            assert replies and replies[0].complete, f"{name}: the stream was cut"
            assert replies[0].body.endswith(b"data: 74\n\n")
            wait_until(lambda: not process.running(), 5, f"the end of {name}")
            assert process.child.returncode == 0, process.child.returncode


def test_a_second_signal_ends_at_once(context):
    context.backend.handler = streaming(1000, 0.02)
    with fresh(context) as stack:
        replies = []
        thread = begin(stack, replies)
        stack.serve.child.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert stack.serve.running(), "it did not wait for the stream"
        stack.serve.child.send_signal(signal.SIGTERM)
        wait_until(lambda: not stack.serve.running(), 2, "the end of serve")
        thread.join(10)
        assert replies and not replies[0].complete
