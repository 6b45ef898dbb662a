"""Logs name peers and requests; never a body, a prompt, a key, a header's value or a query."""

import json

from harness import Stack, wait_until
from wire import Client

SECRET = "c0ffee-prompt-nobody-may-read"


def send(stack, path="/v1/chat/completions"):
    body = f'{{"messages":[{{"content":"{SECRET}"}}]}}'.encode()
    with Client(stack.port) as client:
        client.send(
            f"POST {path}?key={SECRET} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {SECRET}\r\n"
            f"Cookie: {SECRET}\r\nX-{SECRET}: 1\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body)
        return client.answer("POST")


def malformed(stack):
    with Client(stack.port) as client:
        client.send(f"GET /{SECRET} HTTP/1.1\r\nHost: h\r\n{SECRET} : x\r\n\r\n".encode())
        return client.answer()


def test_no_content_reaches_a_log(context):
    options = ["--access-log", "metadata", "--log-level", "debug", "--log-format", "json"]
    backend = f"http://127.0.0.1:{context.backend.port}"

    def echo(connection):
        request = connection.request()
        connection.send(
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(request.body) + request.body)

    context.backend.handler = echo
    with Stack(context.ratel, backend, serve=options, connect=options) as stack:
        assert SECRET.encode() in send(stack).body
        assert malformed(stack).status == 400
        context.backend.handler = lambda connection: connection.request()
        assert send(stack).status == 502
        for process in (stack.serve, stack.connect):
            wait_until(lambda: "chat/completions" in process.text(), 5, "a line for the request")
            assert SECRET not in process.text(), process.text()
            for line in process.text().splitlines():
                record = json.loads(line)
                assert record["message"] and record["level"], record


def test_a_line_for_each_peer_admitted(context):
    with Stack(context.ratel, f"http://127.0.0.1:{context.backend.port}") as stack:
        assert send(stack).status == 200
        wait_until(lambda: "admitted" in stack.connect.text(), 5, "a line at the client")
        line = [line for line in stack.connect.text().splitlines() if " admitted " in line][0]
        assert "peer=" in line and "tier=session" in line and "policy=" in line, line
