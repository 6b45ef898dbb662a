"""What a well-behaved client and backend see of each other."""

import json
import threading
import time

from backend import CHUNKED, answer
from harness import wait_until
from wire import Client, ask, get, post


def recording(seen, reply=lambda request: answer(b"ok")):
    def handler(connection):
        while True:
            request = connection.request()
            seen.append(request)
            connection.send(reply(request))

    return handler


def test_bodies_pass_both_ways(context):
    for size in (0, 1, 1000, 16384, 16385, 1_000_000):
        seen = []
        context.backend.handler = recording(seen, lambda request: answer(request.body))
        body = bytes(index * 7 % 256 for index in range(size))
        reply = ask(context.port, post("/echo", body))
        assert reply.status == 200 and reply.complete, reply.status
        assert seen[0].body == body and reply.body == body, size


def test_chunked_bodies_pass_both_ways(context):
    seen = []

    def reply(request):
        return CHUNKED + b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n"

    context.backend.handler = recording(seen, reply)
    request = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    got = ask(context.port, request + b"1\r\na\r\nA\r\n0123456789\r\n0\r\n\r\n")
    assert seen[0].body == b"a0123456789"
    # HTTP/2 between the two knows no chunks, but it has trailers.
    assert b"".join(got.chunks) == b"abcde" and got.complete
    assert got.trailers == [b"x-sum: 5"], got.trailers


def test_hop_by_hop_fields_stay_on_their_hop(context):
    seen = []
    context.backend.handler = recording(
        seen, lambda _: answer(b"ok", "Keep-Alive: timeout=5", "X-Ratel-Peer: me", "X-App: 1")
    )
    lines = ["Connection: x-secret", "X-Secret: 1", "X-Ratel-Tier: session", "x_ratel_peer: me"]
    lines += ["X-Ratel-Forged: 1"]
    reply = get(context.port, "/a?b", *lines, "TE: trailers", "Upgrade: h2c", "X-Kept: 2")
    names = {name.lower() for name, _ in seen[0].fields}
    gone = {"x-secret", "x_ratel_peer", "te", "upgrade", "connection", "x-ratel-forged"}
    assert not names & gone and "x-kept" in names, names
    # The sidecar says who came; the caller cannot.
    assert "session" not in seen[0].values("x-ratel-tier")
    assert seen[0].target == "/a?b" and seen[0].field("host") == "localhost"
    assert reply.field("keep-alive") is None and reply.field("x-app") == "1"
    assert reply.field("x-ratel-peer") != "me"


def test_connections_are_kept_on_both_sides(context):
    before = context.backend.accepted
    with Client(context.port) as client:
        for number in range(20):
            client.send(post(f"/{number}", b"{}"))
            assert client.answer().body == f"POST /{number} 2".encode()
    assert context.backend.accepted <= before + 1, context.backend.accepted - before


def test_pipelined_requests_are_answered_in_order(context):
    with Client(context.port) as client:
        client.send(b"".join(post(f"/{number}", b"x" * number) for number in range(10)))
        for number in range(10):
            assert client.answer().body == f"POST /{number} {number}".encode()


def test_head_has_no_body(context):
    with Client(context.port) as client:
        client.send(b"HEAD /x HTTP/1.1\r\nHost: h\r\n\r\nGET /y HTTP/1.1\r\nHost: h\r\n\r\n")
        assert client.answer("HEAD").body == b""
        assert client.answer().body == b"GET /y 0"


def test_100_continue_comes_from_the_backend(context):
    def handler(connection):
        request = connection.request(
            on_head=lambda _: connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        )
        connection.send(answer(request.body))

    context.backend.handler = handler
    with Client(context.port) as client:
        head = b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
        client.send(head)
        got = client.answer(on_interim=lambda: client.send(b"body"))
    assert got.interim == [100] and got.body == b"body"


def test_a_refusal_before_the_body_reaches_the_client(context):
    def handler(connection):
        connection.head()
        connection.send(answer(b"no", "Connection: close", status="413 x"))

    context.backend.handler = handler
    with Client(context.port) as client:
        client.send(
            b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"
        )
        got = client.answer()
    assert got.status == 413 and got.body == b"no" and got.interim == []


def test_http10_client_gets_no_chunks(context):
    def handler(connection):
        connection.request()
        connection.send(CHUNKED)
        for number in range(3):
            connection.chunk(b"data: %d\n\n" % number)
            time.sleep(0.02)
        connection.send(b"0\r\n\r\n")

    context.backend.handler = handler
    got = ask(context.port, b"GET / HTTP/1.0\r\n\r\n")
    assert got.field("transfer-encoding") is None and got.field("connection") == "close"
    assert got.body == b"data: 0\n\ndata: 1\n\ndata: 2\n\n" and got.closed


def test_a_body_that_ends_with_the_connection(context):
    def handler(connection):
        connection.request()
        connection.send(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")

    context.backend.handler = handler
    # HTTP/2 between the two says where it ends, and the caller's connection goes on.
    got = get(context.port)
    assert got.body == b"until the end" and got.complete


def test_a_caller_that_ends_its_side_is_taken_for_gone(context):
    """HTTP/2 has no half-closed caller, and one that closed looks the same: its stream ends."""
    ended = []

    def handler(connection):
        connection.request()
        ended.append(connection.wait_for_end(5))

    context.backend.handler = handler
    with Client(context.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        time.sleep(0.1)
        client.socket.shutdown(1)
        wait_until(lambda: ended, 6, "the backend heard of it")
    assert ended == [True]


def test_no_backend_is_a_502_that_says_so(context):
    def handler(connection):
        connection.request()

    context.backend.handler = handler
    got = get(context.port)
    assert got.status == 502, got.status
    error = json.loads(got.body)["error"]
    assert error["code"] and error["message"], error


def test_many_clients_at_once(context):
    failures = []

    def one(number):
        for turn in range(10):
            body = bytes([number]) * (number * 100 + turn)
            got = ask(context.port, post(f"/{number}/{turn}", body))
            if got.body != f"POST /{number}/{turn} {len(body)}".encode():
                failures.append((number, turn, got.status, got.body[:100]))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[:3]
