"""Peers that follow no rule; whatever they do, the others are served and nothing is lost."""

import time

from backend import answer, hello
from harness import wait_until
from wire import Client, get, post


def check_serves(context):
    context.backend.handler = hello
    assert get(context.port).body == b"GET / 0"


def test_pipelined_request_that_arrives_in_pieces(context):
    seen = []

    def slow(connection):
        while True:
            request = connection.request()
            seen.append(request.target)
            time.sleep(0.2)
            connection.send(answer(request.target.encode()))

    context.backend.handler = slow
    with Client(context.port) as client:
        first = post("/first", b"x" * 100)
        client.send(first[:-50])
        wait_until(lambda: context.backend.live, 5, "the upstream connection")
        time.sleep(0.1)
        # The end of one body and the first half of the next head are one read.
        client.send(first[-50:] + b"GET /second HTTP/1.1\r\nHo")
        time.sleep(0.05)
        client.send(b"st: h\r\nX-Third: GET /third\r\n\r\n")
        assert client.answer().body == b"/first"
        second = client.answer()
        assert second.body == b"/second", (second.status, second.body)
    assert seen == ["/first", "/second"], seen


def test_large_read_behind_half_a_response_head(context):
    body = bytes(range(256)) * 160

    def handler(connection):
        connection.request()
        head = f"HTTP/1.1 200 OK\r\nX-Long: {'a' * 3000}\r\nContent-Length: {len(body)}\r\n"
        connection.send(head.encode())
        time.sleep(0.1)
        connection.send(b"\r\n" + body)

    context.backend.handler = handler
    got = get(context.port)
    assert got.status == 200 and got.complete and got.body == body, (got.status, len(got.body))
