"""`ratel proxy` where bytes go on as they come, and the PROXY protocol in front and behind."""

import contextlib
import hashlib
import ipaddress
import json
import os
import socket
import struct
import threading
import time

from backend import answer
from harness import wait_until
from proxied import backends, entry, get, listener, port_of, proxy, route, stop
from wire import Client, post

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def header(source="192.0.2.7", destination="198.51.100.9", command=0x21, family=None, extra=b"",
           ports=(4242, 443), length=None):
    """A header of the PROXY protocol, version 2."""
    one, other = ipaddress.ip_address(source), ipaddress.ip_address(destination)
    body = one.packed + other.packed + struct.pack(">HH", *ports) + extra
    family = family if family is not None else (0x11 if one.version == 4 else 0x21)
    size = len(body) if length is None else length
    return SIGNATURE + bytes([command, family]) + struct.pack(">H", size) + body


def crc32c(data):
    total = 0xFFFFFFFF
    for byte in data:
        total ^= byte
        for _ in range(8):
            total = total >> 1 ^ (0x82F63B78 if total & 1 else 0)
    return total ^ 0xFFFFFFFF


def echo(name):
    """Sends back what comes, and its end."""
    def handler(connection):
        while data := connection.socket.recv(65536):
            connection.socket.sendall(data)
        connection.socket.shutdown(socket.SHUT_WR)

    return handler


def passing(backend_list, **more):
    front = listener(protection="passthrough", backends=[b.name for b in backend_list], **more)
    return front, {"listeners": [front], "routes": []}


def test_bytes_pass_both_ways_with_half_close(context):
    with backends("a", handler=echo) as (a,):
        front, document = passing([a])
        with proxy(context, {**document, "backends": [entry(a)]}) as running:
            data = os.urandom(8 << 20)
            with socket.create_connection(("127.0.0.1", port_of(front)), timeout=20) as client:
                def send():
                    client.sendall(data)
                    client.shutdown(socket.SHUT_WR)

                thread = threading.Thread(target=send)
                thread.start()
                received = b"".join(iter(lambda: client.recv(1 << 16), b""))
                thread.join()
            assert hashlib.sha256(received).digest() == hashlib.sha256(data).digest()
            running.wait_for("ratel_backend_streams", 0, backend="a")
            assert f"in={len(data)}" in running.process.text()


def test_an_answer_after_the_caller_has_ended(context):
    def late(name):
        def handler(connection):
            while connection.socket.recv(65536):
                pass
            time.sleep(0.1)
            connection.socket.sendall(b"late")

        return handler

    with backends("a", handler=late) as (a,):
        front, document = passing([a])
        with proxy(context, {**document, "backends": [entry(a)]}):
            with socket.create_connection(("127.0.0.1", port_of(front)), timeout=10) as client:
                client.sendall(b"request")
                client.shutdown(socket.SHUT_WR)
                assert client.recv(100) == b"late" and client.recv(100) == b""


def test_a_slow_reader_stops_the_sender_and_not_others(context):
    sent = []

    def flood(name):
        def handler(connection):
            wish = connection.socket.recv(1)
            if wish != b"f":
                return connection.socket.sendall(b"short" if wish else b"")
            connection.socket.settimeout(0.5)
            with contextlib.suppress(TimeoutError):
                for _ in range(4096):
                    sent.append(connection.socket.send(b"x" * 65536))
            connection.socket.settimeout(10)
            connection.socket.shutdown(socket.SHUT_WR)
            return connection.socket.recv(1)

        return handler

    with backends("a", handler=flood) as (a,):
        front, document = passing([a])
        with proxy(context, {**document, "backends": [entry(a)]}) as running:
            before = running.process.resident()
            with socket.create_connection(("127.0.0.1", port_of(front)), timeout=20) as client:
                client.sendall(b"f")
                count = wait_until(lambda: stable(sent), 20, "the flood's end")
                assert count < 64 << 20, "the sender was never stopped"
                assert running.process.resident() - before < 16 << 10
                with socket.create_connection(("127.0.0.1", port_of(front)), timeout=5) as other:
                    other.sendall(b"s")
                    assert other.recv(10) == b"short"
                total = 0
                while data := client.recv(1 << 20):
                    total += len(data)
                assert total == sum(sent)


def stable(sent):
    before = sum(sent)
    time.sleep(0.7)
    return before if before and before == sum(sent) else None


def test_a_tunnel_that_is_idle_ends(context):
    with backends("a", handler=echo) as (a,):
        front, document = passing([a], idle_timeout="1s")
        with proxy(context, {**document, "backends": [entry(a)]}) as running:
            with socket.create_connection(("127.0.0.1", port_of(front)), timeout=10) as client:
                client.sendall(b"x")
                assert client.recv(10) == b"x" and client.recv(10) == b""
            wait_until(lambda: "tunnel.idle" in running.process.text(), 5, "the line")


def test_tunnels_skip_backends_that_cannot_be_reached(context):
    with backends("a", "b", handler=echo) as (a, b):
        front, document = passing([a, b])
        slow = {"interval": "60s"}
        document["backends"] = [entry(a, health=slow), entry(b, health=slow)]
        with proxy(context, document) as running:
            running.checked("a", "b")
            stop(a)
            for _ in range(4):
                with socket.create_connection(("127.0.0.1", port_of(front)), timeout=10) as client:
                    client.sendall(b"x")
                    assert client.recv(10) == b"x"
            assert running.metric("ratel_backend_up", backend="a") == 0
            stop(b)
            for _ in range(2):
                with socket.create_connection(("127.0.0.1", port_of(front)), timeout=10) as client:
                    assert client.recv(10) == b""
            assert "proxy.backends.down" in running.process.text()


def test_the_address_before_is_what_backends_and_logs_hear(context):
    def reading(name):
        def handler(connection):
            while True:
                request = connection.request()
                body = json.dumps([request.field("x-forwarded-for"), request.field("forwarded")])
                connection.send(answer(body.encode()))

        return handler

    with backends("a", handler=reading) as (a,):
        front = listener(proxy_protocol="v2", forwarded="append")
        document = {"listeners": [front], "routes": [route("all", ["a"])],
                    "backends": [entry(a)]}
        with proxy(context, document) as running:
            def hear(head, pieces=1):
                request = head + b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
                with Client(port_of(front)) as client:
                    step = -(-len(request) // pieces)
                    for offset in range(0, len(request), step):
                        client.send(request[offset:offset + step])
                    return json.loads(client.answer().body)

            assert hear(header()) == ["192.0.2.7", "for=192.0.2.7"]
            assert hear(header(), pieces=40) == ["192.0.2.7", "for=192.0.2.7"]
            assert hear(header("2001:db8::1", "2001:db8::2"))[0] == "2001:db8::1"
            assert hear(header(extra=b"\x04\x00\x03abc"))[0] == "192.0.2.7"
            blank = header(extra=b"\x03\x00\x04" + bytes(4))
            total = struct.pack(">I", crc32c(blank))
            assert hear(blank[:-4] + total)[0] == "192.0.2.7"
            assert hear(SIGNATURE + b"\x20\x00\x00\x00")[0] == "127.0.0.1", "LOCAL"
            assert hear(SIGNATURE + b"\x21\x00\x00\x00")[0] == "unknown"
            assert hear(SIGNATURE + b"\x21\x31\x00\xd8" + bytes(216))[0] == "unknown"
            assert "remote=192.0.2.7:4242" in running.process.text()
            # A body of many reads right behind the header arrives whole.
            with Client(port_of(front)) as client:
                client.send(header() + post("/", b"x" * 100_000))
                assert client.answer().status == 200


def test_connections_without_a_proper_header_are_refused(context):
    good = header()
    cases = {
        "proxy_protocol.signature": [b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
                                     b"PROXY TCP4 192.0.2.7 198.51.100.9 1 2\r\n"],
        "proxy_protocol.version": [header(command=0x11)],
        "proxy_protocol.command": [header(command=0x22)],
        "proxy_protocol.family": [header(family=0x12), header(family=0x13), header(family=0x41)],
        "proxy_protocol.length": [header(length=11), header(length=65535),
                                  header(extra=bytes(600))],
        "proxy_protocol.extension": [header(extra=b"\x04"), header(extra=b"\x04\x00\x05abc")],
        "proxy_protocol.checksum": [header(extra=b"\x03\x00\x04" + bytes(4)),
                                    header(extra=b"\x03\x00\x01a")],
    }
    with backends("a") as (a,), backends("t", handler=echo) as (t,):
        front = listener(proxy_protocol="v2")
        tunnel = listener("tunnel", "passthrough", backends=["t"], proxy_protocol="v2")
        document = {"listeners": [front, tunnel], "routes": [route("all", ["a"])],
                    "backends": [entry(a), entry(t)]}
        with proxy(context, document) as running:
            running.checked("a", "t")
            for code, heads in cases.items():
                for head in heads:
                    for port in (port_of(front), port_of(tunnel)):
                        with Client(port) as client:
                            with contextlib.suppress(OSError):
                                client.send(head + b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                            assert not client.fill(), (code, head)
                wait_until(lambda code=code: f"code={code}" in running.process.text(), 5, code)
            with Client(port_of(front)) as client:
                client.send(good[:20])
                assert not client.fill()
            wait_until(lambda: "proxy_protocol.timeout" in running.process.text(), 5, "the timeout")
            assert running.metric("ratel_requests_total") == 0
            assert running.metric("ratel_backend_requests_total", backend="t") == 0


def test_the_header_that_backends_are_sent(context):
    seen = []

    def reading(name):
        def handler(connection):
            while len(connection.buffer) < 16:
                connection.fill()
            length = struct.unpack(">H", connection.buffer[14:16])[0]
            while len(connection.buffer) < 16 + length:
                connection.fill()
            seen.append(connection.buffer[:16 + length])
            connection.buffer = connection.buffer[16 + length:]
            while True:
                connection.request()
                connection.send(answer(b"ok"))

        return handler

    def real():
        return [head for head in seen if head[12] == 0x21]

    with backends("a", handler=reading) as (a,):
        known = listener("known", proxy_protocol="v2")
        plain = listener("plain")
        tunnel = listener("tunnel", "passthrough", backends=["a"], proxy_protocol="v2")
        document = {"listeners": [known, plain, tunnel], "routes": [route("all", ["a"])],
                    "backends": [entry(a, send_proxy_protocol="v2",
                                       health={**FAST_GET, "get": "/health"})]}
        with proxy(context, document) as running:
            running.checked("a")
            assert seen and seen[0] == SIGNATURE + b"\x20\x00\x00\x00", "checks say LOCAL"
            for port in (port_of(known), port_of(tunnel)):
                with Client(port) as client:
                    client.send(header() + b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                    assert client.answer().body == b"ok"
                assert real()[-1] == header(), real()[-1]
            with Client(port_of(plain)) as client:
                own = client.socket.getsockname()
                for _ in range(2):
                    client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                    assert client.answer().body == b"ok"
            expected = header("127.0.0.1", "127.0.0.1", ports=(own[1], port_of(plain)))
            assert real()[-2:] == [expected] * 2, "one connection for each request"
            assert get(port_of(plain)).body == b"ok"


FAST_GET = {"interval": "100ms", "timeout": "1s"}
