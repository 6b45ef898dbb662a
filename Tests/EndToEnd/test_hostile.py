"""Peers that follow no rule; whatever they do, the others are served and nothing is lost."""

import os
import subprocess
import time

from backend import answer, hello
from harness import Process, free_port, scratch, wait_until
from test_attacks import tls
from wire import Client, get, post


def check_serves(context):
    context.backend.handler = hello
    assert get(context.port).body == b"GET / 0"


def sidecar(context, directory, policy, *more):
    """A `serve` of its own with simulated Evidence; its callers are told apart by the policy."""
    path = os.path.join(directory, "policy.yaml")
    with open(path, "w") as file:
        file.write(policy)
    port = free_port()
    process = Process(
        "hostile", [
            context.ratel, "serve", "--listen", f"127.0.0.1:{port}", "--backend",
            f"http://127.0.0.1:{context.backend.port}", "--policy", path, "--attester",
            "simulated", "--admin", "off", *more], directory)
    process.port = port
    return process


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


def test_refused_caller_is_not_kept(context):
    with scratch() as directory, sidecar(
        context, directory, "version: 1\npeers: [{name: s, simulated: true}]\n"
    ) as serve:
        serve.wait_for_port(serve.port)
        certificate = make_certificate(directory)
        with tls(serve.port, certificate=certificate, protocols=["http/1.1"]) as channel:
            channel.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            received = b""
            while piece := channel.recv(65536):
                received += piece
        assert received.startswith(b"HTTP/1.1 403 "), received[:200]
        assert b"\r\nConnection: close\r\n" in received, received[:400]
        # One that asks for nothing is let go long before a keep-alive would be.
        with tls(serve.port, certificate=certificate, protocols=["http/1.1"]) as channel:
            channel.settimeout(14)
            started = time.monotonic()
            assert channel.recv(1) == b""
            assert time.monotonic() - started < 13


def make_certificate(directory):
    key, leaf = os.path.join(directory, "peer.key"), os.path.join(directory, "peer.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-keyout", key, "-out", leaf, "-days", "1", "-subj", "/CN=peer"],
        check=True, capture_output=True)
    return leaf, key
