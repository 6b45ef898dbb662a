"""Of prompts, answers and keys nothing is in logs, papers, pages or crash output."""

import contextlib
import http.client
import json
import os
import pathlib
import resource
import signal
import threading

from harness import Process, free_port, wait_until
from marketplace import Market
from scripted import DONE, END, ScriptedProvider, chunk, counts, final
from scripted import piece, request, saying, stream_head, whole
from wire import TLSClient, get

MARK = "c0ffee-canary"
LOGS = ["--access-log", "metadata", "--log-level", "debug"]


class WatchedProvider(ScriptedProvider):
    """Says all that it can be made to say."""

    def start(self):
        self.admin_port = free_port()
        self.process = Process(f"serve-{self.name}", [
            self.market.ratel, "serve", "--listen", f"127.0.0.1:{self.port}", "--admin",
            f"127.0.0.1:{self.admin_port}", "--backend", f"http://127.0.0.1:{self.engine.port}",
            "--policy", self.market.anonymous, "--offers", self.offers, *self.market.attester,
            *LOGS], self.market.folder)
        self.process.wait_for_port(self.port)


@contextlib.contextmanager
def watched(context):
    keys = [{"name": "alice", "key": f"sk-{MARK}-key", "billing": "postpaid"},
            {"name": "poor", "key": f"sk-{MARK}-poor", "billing": "prepaid"}]
    with Market(context.ratel, keys=keys, words=LOGS, helper=False) as market:
        for name in ("first", "second"):
            market.providers.append(WatchedProvider(market, name, queue=False))
        market.route()
        command = [market.ratel, "connect", f"127.0.0.1:{market.router_port}", "--policy",
                   market.simulated, "--listen", f"127.0.0.1:{market.port}", *LOGS]
        with Process("connect", command, market.folder) as market.connect:
            market.connect.wait_for_port(market.port)
            yield market


def marked(**members):
    """A request with the mark wherever there may be text."""
    return {"model": "tiny", "max_tokens": 4, "user": f"{MARK}-user", "cache_salt": f"{MARK}-salt",
            "metadata": {f"{MARK}-name": f"{MARK}-value"},
            "tools": [{"type": "function", "function": {"name": f"{MARK}-tool"}}],
            "messages": [{"role": "system", "content": f"{MARK}-system"},
                         {"role": "user", "content": f"{MARK}-prompt"}]} | members


def answers():
    """What an engine may say: its words, in order and out of it."""
    arguments = {"index": 0, "delta": {"tool_calls": [
        {"function": {"name": f"{MARK}-f", "arguments": f"{MARK}-arguments"}}]}}
    tool = b"data: " + json.dumps({"choices": [arguments], "usage": counts(3, 2)}).encode() \
        + b"\n\n"
    said = piece(f"{MARK}-completion", counts(3, 1)) + tool
    error = json.dumps({"error": {"message": f"{MARK}-error", "code": f"{MARK}-code",
                                  "type": f"{MARK}-type", "param": f"{MARK}-param"}}).encode()
    mark = MARK.encode()
    return [
        (stream_head() + chunk(said + final(counts(3, 2)) + DONE) + END, False),
        (stream_head() + chunk(said), True),
        (stream_head() + chunk(said) + END, False),
        (stream_head() + chunk(said + b"data: " + error + b"\n\n") + END, False),
        (stream_head() + chunk(said) + mark + b"\r\n", True),
        (stream_head() + chunk(said + b"data: " + mark * (1 << 17)) + END, True),
        (whole(200, json.dumps({"choices": [{"message": {"content": MARK}}],
                                "usage": {"prompt_tokens": MARK}}).encode()), False),
        (whole(200, mark), False), (whole(400, error), False), (whole(500, error), False),
        (whole(422, mark * 100_000), False), (whole(429, error, f"Retry-After: {MARK}"), False),
        (f"HTTP/1.1 200 {MARK}\r\nX-{MARK}: {MARK}\r\nContent-Length: 0\r\n\r\n".encode(), False),
        (f"{MARK} garbage\r\n\r\n".encode(), True), (mark * 10_000, True),
        (f"HTTP/1.1 200 OK\r\n{MARK} : x\r\n\r\n".encode(), True),
        (f"HTTP/1.1 200 OK\r\nContent-Length: {MARK}\r\n\r\n".encode(), True),
        (f"HTTP/1.1 200 OK\r\nTransfer-Encoding: {MARK}\r\n\r\n".encode(), True),
        (f"HTTP/1.1 302 {MARK}\r\nLocation: /{MARK}\r\nContent-Length: 0\r\n\r\n".encode(), False),
        (f"HTTP/1.1 101 {MARK}\r\nUpgrade: {MARK}\r\n\r\n".encode(), True),
    ]


def ask_for_everything(market):
    key = f"sk-{MARK}-key"
    for data, ends in answers():
        for provider in market.providers:
            provider.engine.script = saying(data, ends=ends)
        for stream in (False, True):
            # What it can only cut, it cuts.
            with contextlib.suppress(http.client.IncompleteRead):
                market.post("/v1/chat/completions", marked(stream=stream), key=key)
    for provider in market.providers:
        provider.engine.script = None
    # Their breakers are open for a while.
    wait_until(lambda: market.post("/v1/chat/completions", marked(), key=key)[0] == 200, 70,
               "served again")
    mistakes = [
        marked(model=f"{MARK}-model"), marked(provider={"only": [f"{MARK}-provider"]}),
        marked(provider={f"{MARK}-member": 1}, ratel={f"{MARK}-own": 1}),
        marked(provider=MARK), marked(provider={"sort": MARK}), marked(stream=MARK),
        marked(max_tokens=MARK), marked(n=MARK), marked(model=MARK, models=[MARK]),
        marked(model={MARK: 1}),
        marked(provider={"attestation": {"sessions": [MARK], "min_claims": [MARK]}}),
        f'{{"{MARK}":{MARK}'.encode(), f'{{"{MARK}":1,"{MARK}":2}}'.encode(), MARK.encode()]
    for body in mistakes:
        assert market.post(f"/v1/chat/completions?{MARK}", body, key=key)[0] >= 400, body
    for wrong in (f"{MARK}-wrong", f"sk-{MARK}-poor"):
        assert market.post("/v1/chat/completions", marked(), key=wrong)[0] in (401, 402)
    for path in (f"/v1/generation?id={MARK}", f"/v1/attestation/report?nonce={MARK}"):
        assert market.get(path, key=key)[0] in (400, 404)
    for data in (request(json.dumps(marked()).encode(), f"X-{MARK}: {MARK}", f"Cookie: {MARK}"),
                 request(b"", f"{MARK} : x"), MARK.encode() * 10_000,
                 request(b"x", f"Transfer-Encoding: {MARK}"),
                 request(MARK.encode(), "Content-Length: 3"),
                 request(b"", "Transfer-Encoding: chunked", length=False) + MARK.encode()):
        with TLSClient(market.router_port) as client:
            client.send(data)
            client.answer()


def pages(market):
    found = [market.admin(path) for path in ("/status", "/metrics", "/readyz")]
    for path in ("/v1/models", "/v1/models?format=openrouter", "/v1/ratel/offers", "/metrics",
                 "/v1/ratel/attestation", "/ready"):
        found.append(market.get(path, key=None)[2].decode())
    for provider in market.providers:
        found += [get(provider.admin_port, path).body.decode() for path in ("/status", "/metrics")]
    return found


def hold_nothing(market):
    for page in pages(market):
        assert MARK not in page, page[max(0, page.index(MARK) - 200):][:400]
    files = [path for path in pathlib.Path(market.folder).rglob("*") if path.is_file()]
    assert any(path.name.endswith("-wal") for path in files), files
    assert {"connect.log", "route.log", "serve-first.log"} <= {path.name for path in files}
    for path in files:
        data, mark = path.read_bytes(), MARK.encode()
        assert mark not in data, (path, data[max(0, data.index(mark) - 300):][:600])


def test_nothing_of_a_prompt_is_written_anywhere(context):
    with watched(context) as market:
        ask_for_everything(market)
        hold_nothing(market)
        wait_until(lambda: market.exported("receipts.jsonl"), 10, "an export")
        hold_nothing(market)


def test_nothing_of_a_prompt_is_in_what_a_crash_leaves(context):
    limits = resource.getrlimit(resource.RLIMIT_CORE)
    # A core is written to where a process works, unless a person has chosen otherwise.
    resource.setrlimit(resource.RLIMIT_CORE, (limits[1], limits[1]))
    before = set(os.listdir("."))
    try:
        with watched(context) as market:
            held = threading.Event()

            def script(connection, request):
                connection.sendall(stream_head() + chunk(piece(f"{MARK}-completion",
                                                               counts(3, 1))))
                held.wait(20)

            for provider in market.providers:
                provider.engine.script = script
            with TLSClient(market.router_port) as client:
                client.send(request(json.dumps(marked(stream=True)).encode()).replace(
                    b"sk-alice", f"sk-{MARK}-key".encode()))
                while MARK.encode() not in client.buffer:
                    assert client.fill()
                processes = [market.router, market.connect] \
                    + [provider.process for provider in market.providers]
                for process in processes:
                    process.child.send_signal(signal.SIGABRT)
                for process in processes:
                    assert process.child.wait(20) == -signal.SIGABRT
            held.set()
            for path in pathlib.Path(market.folder).rglob("*"):
                assert not path.is_file() or MARK.encode() not in path.read_bytes(), path
            left = set(os.listdir(".")) - before
            assert not any(name.startswith("core") for name in left), left
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, limits)
        for name in set(os.listdir(".")) - before:
            if name.startswith("core"):
                os.remove(name)
