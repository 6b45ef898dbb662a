"""Streams that take turns: a token is sent only when the one before it was read.

So each token is a wake-up, a read and a record of its own, and counts of a proxy's work do not
depend on how fast the machine is. What a token costs is the difference of two lengths, in which
starting, connecting and ending cancel.
"""

import json
import socket
import ssl

STREAMS = 8
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
REQUEST = (b"POST /v1/chat/completions HTTP/1.1\r\nHost: llm.example\r\n"
           b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
EVENT_BYTES = 290  # What vLLM sends for one token; 298 with the framing of its chunk.


def event(number):
    """One token as an OpenAI server writes it, padded to the size."""
    delta = {"index": 0, "delta": {"content": f" {number:08}"}, "finish_reason": None}
    body = {"id": "chatcmpl-" + "0" * 32, "object": "chat.completion.chunk",
            "created": 1763900000, "model": "m", "choices": [delta]}
    spare = EVENT_BYTES - len(json.dumps(body)) - len("data: \n\n")
    body["model"] = "m" * (1 + spare)
    return b"data: " + json.dumps(body).encode() + b"\n\n"


class Backend:
    """Listens where the proxy connects."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(64)
        self.listener.settimeout(60)
        self.port = self.listener.getsockname()[1]

    def accept(self):
        """The next connection that asks something: probes of readiness connect and say nothing."""
        while True:
            connection, _ = self.listener.accept()
            connection.settimeout(60)
            if connection.recv(1, socket.MSG_PEEK):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return connection

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()


class Stream:
    """One answer under way: the caller's end and the backend's."""

    def __init__(self, backend, port, plain):
        self.caller = connected(port, plain)
        self.caller.sendall(REQUEST)
        self.served = backend.accept()
        read_until(self.served, b"\r\n\r\n{}")
        self.served.sendall(HEAD)
        read_until(self.caller, b"\r\n\r\n")

    def pass_token(self, number):
        token = event(number)
        self.served.sendall(b"%x\r\n%s\r\n" % (len(token), token))
        # A proxy may write the chunk's size otherwise; the event is as it was.
        got = read_until(self.caller, b"\n\n\r\n")
        assert got.split(b"\r\n", 1)[1] == token + b"\r\n", got

    def close(self):
        self.caller.close()
        self.served.close()


def run(backend, port, plain, tokens):
    """Passes as many tokens on each of the streams."""
    streams = [Stream(backend, port, plain) for _ in range(STREAMS)]
    for number in range(tokens):
        for stream in streams:
            stream.pass_token(number)
    for stream in streams:
        stream.close()


def connected(port, plain):
    connection = socket.create_connection(("127.0.0.1", port), 60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if plain:
        return connection
    # The proxy is the one under test, on loopback; its certificate says nothing here.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context.wrap_socket(connection)


def read_until(connection, end):
    received = b""
    while not received.endswith(end):
        piece = connection.recv(65536)
        assert piece, f"the connection ended after {received[-200:]}"
        received += piece
    return received
