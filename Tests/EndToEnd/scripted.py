"""An engine that answers byte for byte as a test has it, and raw callers of a router."""

import contextlib
import json
import socket
import threading
import time

from marketplace import Provider
from wire import TLSClient


class ScriptedEngine:
    """`script(connection, request)` writes what it likes; without one, answers are in order.

    `seen` has the target, the fields and the body of each request that was for a model."""

    def __init__(self):
        self.script, self.seen, self.faults, self.open, self.ended = None, [], {}, 0, False
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        self.ended = True
        self.listener.close()

    def accept(self):
        while not self.ended:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with connection, connection.makefile("rb") as reader:
                while request := self.read(reader):
                    self.answer(connection, request)
        except (OSError, ValueError):
            pass

    def read(self, reader):
        line = reader.readline()
        if not line:
            return None
        method, target, _ = line.decode("latin-1").split(" ", 2)
        fields = []
        while (line := reader.readline()) not in (b"\r\n", b""):
            name, value = line.decode("latin-1").split(":", 1)
            fields.append((name.lower(), value.strip()))
        length = int(dict(fields).get("content-length", 0))
        return method, target, fields, reader.read(length)

    def answer(self, connection, request):
        method, target, fields, body = request
        if method == "GET":
            return connection.sendall(whole(404, b"{}"))
        self.seen.append((target, fields, body))
        self.open += 1
        try:
            (self.script or in_order)(connection, request)
        finally:
            self.open -= 1


class ScriptedProvider(Provider):
    def make_engine(self, model, pace):
        return ScriptedEngine()


def scripted(market, name, **words):
    made = ScriptedProvider(market, name, queue=False, **words)
    market.providers.append(made)
    return made


# What an engine writes.

def whole(status, body, *lines, kind="application/json"):
    fields = "".join(f"{line}\r\n" for line in lines)
    return (f"HTTP/1.1 {status} Words\r\nContent-Type: {kind}\r\n{fields}"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body


def stream_head(*lines):
    fields = "".join(f"{line}\r\n" for line in lines)
    return (f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{fields}"
            "Transfer-Encoding: chunked\r\n\r\n").encode()


def chunk(data):
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


END = b"0\r\n\r\n"
DONE = b"data: [DONE]\n\n"


def piece(text, usage=None):
    value = {"id": "c", "choices": [{"index": 0, "delta": {"content": text}}]}
    return b"data: " + json.dumps(value | ({"usage": usage} if usage else {})).encode() + b"\n\n"


def counts(prompt, answer):
    return {"prompt_tokens": prompt, "completion_tokens": answer}


def final(usage):
    return b"data: " + json.dumps({"id": "c", "choices": [], "usage": usage}).encode() + b"\n\n"


def in_order(connection, request):
    """Two words, counted."""
    if json.loads(request[3]).get("stream"):
        connection.sendall(stream_head())
        for number in (1, 2):
            connection.sendall(chunk(piece(" word", counts(3, number))))
        connection.sendall(chunk(final(counts(3, 2)) + DONE) + END)
    else:
        choice = {"index": 0, "message": {"role": "assistant", "content": " word word"}}
        connection.sendall(whole(200, json.dumps(
            {"id": "c", "choices": [choice], "usage": counts(3, 2)}).encode()))


def saying(*pieces, ends=False):
    """A script that writes these bytes, one after the other, and then may go away."""
    def script(connection, request):
        with contextlib.suppress(OSError):
            for number, data in enumerate(pieces):
                time.sleep(0.05 if number else 0)
                connection.sendall(data)
            if ends:
                connection.shutdown(socket.SHUT_RDWR)
    return script


# What a caller writes.

KEY = "Authorization: Bearer sk-alice"
PATH = "/v1/chat/completions"


def request(body, *lines, path=PATH, method="POST", version="1.1", length=True):
    fields = "".join(f"{line}\r\n" for line in (KEY, "Content-Type: application/json", *lines))
    if length:
        fields += f"Content-Length: {len(body)}\r\n"
    return f"{method} {path} HTTP/{version}\r\nHost: h\r\n{fields}\r\n".encode() + body


def chat(text="a b c", **members):
    return json.dumps({"model": "tiny", "max_tokens": 4, "messages": [
        {"role": "user", "content": text}]} | members).encode()


def ask(market, data, method="POST"):
    """One answer of the router itself, over a connection of its own."""
    with TLSClient(market.router_port) as client:
        client.send(data)
        return client.answer(method)


def code(answer):
    return answer.status, json.loads(answer.body)["error"]["code"]
