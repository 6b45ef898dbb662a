"""`ratel proxy` over its life: reloads, drains and health, without a byte lost."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time

from backend import CHUNKED, answer
from harness import ANONYMOUS, SIMULATED, listening, scratch, wait_until
from proxied import Names, backends, check, entry, listener, port_of, proxy, route
from test_proxy_sides import ATTESTED, connecting
from wire import Client, TLSClient, get

EVENTS = 60


def streaming(name):
    """`/stream` counts in events; anything else is answered with the name."""
    def handler(connection):
        while True:
            request = connection.request()
            if not request.target.startswith("/stream"):
                connection.send(answer(name.encode()))
                continue
            connection.send(CHUNKED)
            for number in range(EVENTS):
                connection.chunk(f"data: {name} {number}\n\n".encode())
                time.sleep(0.02)
            connection.send(b"0\r\n\r\n")

    return handler


def whole(name):
    return "".join(f"data: {name} {number}\n\n" for number in range(EVENTS)).encode()


class Stream:
    """A stream that is read in the background."""

    def __init__(self, port):
        self.client = Client(port, timeout=15)
        self.client.send(b"GET /stream HTTP/1.1\r\nHost: h\r\n\r\n")
        while b" 2\n" not in self.client.buffer:
            assert self.client.fill()
        self.reply = None
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        self.reply = self.client.answer()

    def join(self):
        self.thread.join(15)
        assert self.reply and self.reply.complete, "the stream was cut"
        return self.reply.body


def test_a_reload_drops_no_stream(context):
    with backends("a", "b", handler=streaming) as (a, b):
        kept, gone, added = listener("kept"), listener("gone"), listener("added")
        before = {"listeners": [kept, gone], "backends": [entry(a)],
                  "routes": [route("old", ["a"])]}
        after = {"listeners": [kept, added], "backends": [entry(b)],
                 "routes": [route("new", ["b"])]}
        with proxy(context, before, workers=2) as running:
            idle = Client(port_of(kept))
            idle.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            assert idle.answer().body == b"a"
            streams = [Stream(port_of(kept)), Stream(port_of(gone))]
            running.reload(after)
            # A listener that stays never stops; an old connection's next request is routed anew.
            assert get(port_of(kept)).body == b"b" and get(port_of(added)).body == b"b"
            idle.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            assert idle.answer().body == b"b"
            wait_until(lambda: not listening(port_of(gone)), 5, "the listener that is gone")
            assert [stream.join() for stream in streams] == [whole("a")] * 2
            wait_until(lambda: "listener left" in running.process.text(), 5, "its end")
            # And back: what was removed is there again, its old backend as well.
            running.reload(before)
            assert get(port_of(gone)).body == b"a"
            idle.close()


def test_streams_of_http2_outlive_their_listener(context):
    with scratch() as folder, backends("a", handler=streaming) as (a,):
        chain, key = Names(folder).issue("front.example")
        front = listener(protection="tls", certificate=chain, key=key)
        rest = {"backends": [entry(a)], "routes": [route("all", ["a"])]}
        with proxy(context, {"listeners": [front], **rest}) as running:
            # Python's `h2` takes no frame behind a GOAWAY; curl does.
            curls = [subprocess.Popen(
                ["curl", "-skN", "--http2", f"https://127.0.0.1:{port_of(front)}/stream"],
                stdout=subprocess.PIPE) for _ in range(3)]
            firsts = [curl.stdout.read(9) for curl in curls]
            running.reload({"listeners": [listener()], **rest})
            wait_until(lambda: not listening(port_of(front)), 5, "no longer listening")
            for curl, first in zip(curls, firsts):
                assert first + curl.stdout.read() == whole("a")
                assert curl.wait(10) == 0


def test_a_bad_file_changes_nothing(context):
    with backends("a", handler=streaming) as (a,):
        front = listener()
        good = {"listeners": [front], "backends": [entry(a)], "routes": [route("all", ["a"])]}
        with proxy(context, good) as running:
            taken = socket.socket()
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            busy = {"name": "busy", "address": f"127.0.0.1:{taken.getsockname()[1]}",
                    "protection": "plain"}
            new = listener("new")
            bad = [
                ("proxy.key.unknown", {**good, "lisseners": []}),
                ("proxy.reference.unknown", {**good, "routes": [route("all", ["b"])]}),
                ("EADDRINUSE", {**good, "listeners": [front, new, busy]}),
                ("proxy.reload.restart", {**good, "workers": 3}),
            ]
            for word, document in bad:
                running.reload(document, fails=True)
                wait_until(lambda word=word: word in running.process.text(), 5, word)
                assert get(port_of(front)).body == b"a", word
            wait_until(lambda: not listening(port_of(new)), 5, "no listener of a bad file")
            running.file.write_text("{")
            running.reload(fails=True)
            assert get(port_of(front)).body == b"a"
            taken.close()
            running.reload(good)


def test_a_listener_changes_its_kind_at_its_address(context):
    with backends("a", handler=streaming) as (a,):
        front = listener()
        rest = {"backends": [entry(a)]}
        before = {**rest, "listeners": [front], "routes": [route("all", ["a"])]}
        after = {**rest, "routes": [], "listeners": [
            {**front, "protection": "passthrough", "backends": ["a"]}]}
        with proxy(context, before) as running:
            stream = Stream(port_of(front))
            running.reload(after)

            def tunnelled():
                assert get(port_of(front)).body == b"a"
                return "tunnel backend=a" in running.process.text()

            wait_until(tunnelled, 5, "a tunnel")
            assert stream.join() == whole("a")


def test_a_change_of_what_an_attested_listener_says_ends_its_connections(context):
    with scratch() as folder, backends("a", handler=streaming) as (a,):
        (pathlib.Path(folder) / "anonymous.yaml").write_text(ANONYMOUS)
        front = listener(protection="attested", policy="anonymous.yaml")
        document = {**ATTESTED, "listeners": [front], "backends": [entry(a)],
                    "routes": [route("all", ["a"])]}
        policy = ("version: 1\npeers: [{name: p, simulated: true, "
                  "configuration: {backend: [loopback]}}]\n")
        with proxy(context, document, folder=folder) as running:
            with connecting(context, folder, port_of(front), policy) as port, \
                    TLSClient(port_of(front)) as kept:
                kept.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                assert kept.answer().body == b"a"
                stream = Stream(port)
                assert get(port).body == b"a"
                # Now a part of the requests would leave the machine in plaintext.
                far = {"name": "far", "address": "192.0.2.1:80", "protection": "plain"}
                running.reload({**document, "backends": [entry(a), far],
                                "routes": [route("all", ["a", "far"])]})
                assert not kept.fill(), "a connection that was told otherwise"
                wait_until(lambda: get(port).status == 502, 10, "the refusal")
                assert stream.join() == whole("a")


def test_a_policy_of_an_attested_listener_is_read_again(context):
    with scratch() as folder, backends("a", handler=streaming) as (a,):
        policy = pathlib.Path(folder) / "callers.yaml"
        policy.write_text(SIMULATED)
        front = listener(protection="attested", policy="callers.yaml")
        document = {**ATTESTED, "listeners": [front], "backends": [entry(a)],
                    "routes": [route("all", ["a"])]}
        with proxy(context, document, folder=folder):
            words = ["--attester", "simulated"]
            with connecting(context, folder, port_of(front), SIMULATED, *words) as port:
                assert get(port).status == 200
                policy.write_text("version: 1\npeers: [{name: p, simulated: true, "
                                  "configuration: {use: [route]}}]\n")
                wait_until(lambda: get(port).status == 502, 10, "the refusal")


def test_a_drain_finishes_streams_and_tunnels(context):
    with backends("a", handler=streaming) as (a,):
        front = listener()
        tunnel = listener("tunnel", "passthrough", backends=["a"])
        document = {"listeners": [front, tunnel], "backends": [entry(a)],
                    "routes": [route("all", ["a"])]}
        with proxy(context, document, workers=2) as running:
            streams = [Stream(port_of(front)), Stream(port_of(tunnel))]
            running.process.child.send_signal(signal.SIGTERM)
            wait_until(lambda: get(port_of(front)).status == 503, 5, "a refusal")
            assert not listening(port_of(tunnel))
            bodies = [stream.join() for stream in streams]
            for stream in streams:
                stream.client.close()
            assert bodies == [whole("a")] * 2
            wait_until(lambda: not running.process.running(), 10, "the end")
            assert running.process.child.returncode == 0


def test_a_reload_that_an_ending_meets_leaves_nothing_that_goes_on_serving(context):
    """The signal comes when the first of many new listeners is there."""
    with scratch() as folder, backends("a", handler=streaming) as (a,):
        front = listener()
        rest = {"backends": [entry(a)], "routes": [route("all", ["a"])]}
        paths = [f"{folder}/{number}.sock" for number in range(500)]
        added = [{"name": f"l{number}", "address": f"unix:{path}", "protection": "plain"}
                 for number, path in enumerate(paths)]
        with proxy(context, {"listeners": [front], **rest}) as running:
            stream = Stream(port_of(front))
            running.write({"listeners": [front, *added], **rest})
            child = running.process.child
            child.send_signal(signal.SIGHUP)
            while not any(name.endswith(".sock") for name in os.listdir(folder)):
                assert running.process.running()
            child.send_signal(signal.SIGTERM)
            wait_until(lambda: get(port_of(front)).status == 503, 5, "a refusal")
            wait_until(lambda: "force" in running.process.text(), 5, "the reload's outcome")
            served = [path for path in paths if asked(path) == 200]
            assert not served, f"{len(served)} of {len(paths)} listeners serve in the end"
            assert stream.join() == whole("a")
            stream.client.close()
            wait_until(lambda: not running.process.running(), 10, "the end")
            assert child.returncode == 0


def asked(path):
    """The status that a listener at a path answers with; None where there is none."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(path)
        except OSError:
            return None
        connection.settimeout(5)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        head = connection.recv(64)
        return int(head.split()[1]) if head else None


def test_health_follows_what_checks_say(context):
    state = {"status": "200 OK"}

    def healthy(name):
        def handler(connection):
            while True:
                request = connection.request()
                if request.target == "/health":
                    assert request.field("host") and request.field("user-agent") == "ratel"
                    connection.send(answer(b"x", status=state["status"]))
                else:
                    connection.send(answer(name.encode()))

        return handler

    with backends("a", handler=healthy) as (a,):
        front = listener()
        health = {"get": "/health", "interval": "100ms", "timeout": "300ms", "successes": 2,
                  "failures": 2}
        document = {"listeners": [front], "backends": [entry(a, health=health)],
                    "routes": [route("all", ["a"])]}
        with proxy(context, document) as running:
            running.checked("a")
            assert get(running.admin, "/readyz").status == 200
            state["status"] = "503 Busy"
            running.wait_for("ratel_backend_up", 0, backend="a")
            assert "status 503" in running.page("/status")
            reply = get(running.admin, "/readyz")
            assert reply.status == 503 and b"backends: none" in reply.body
            error = json.loads(get(port_of(front)).body)["error"]
            assert error["code"] == "proxy.backends.down" and "status 503" in error["got"]
            state["status"] = "202 Accepted"
            running.wait_for("ratel_backend_up", 1, backend="a")
            assert get(port_of(front)).body == b"a"
            for word in ("backend down", "backend up"):
                assert word in running.process.text()


def test_a_check_without_an_answer_fails_in_time(context):
    def silent(name):
        def handler(connection):
            connection.request()
            time.sleep(30)

        return handler

    with backends("a", handler=silent) as (a,):
        health = {"get": "/", "interval": "100ms", "timeout": "100ms", "failures": 1}
        document = {"listeners": [listener()], "backends": [entry(a, health=health)],
                    "routes": []}
        with proxy(context, document) as running:
            running.wait_for("ratel_backend_up", 0, backend="a")
            assert "no answer within 100 ms" in running.page("/status")


def test_check_says_what_a_file_does_or_what_is_wrong(context):
    with scratch() as folder:
        file = pathlib.Path(folder) / "proxy.yaml"
        front = {"name": "front", "address": "127.0.0.1:8080", "protection": "plain"}
        back = {"name": "a", "address": "127.0.0.1:8000", "protection": "plain"}
        good = {"version": 1, "listeners": [front], "backends": [back],
                "routes": [route("all", ["a"])]}
        file.write_text(json.dumps(good))
        status, text = check(context, file)
        assert status == 0 and "front" in text and "any request; to a; for any caller" in text

        def other(**changes):
            return {**good, **changes}

        bad = [
            ("proxy.key.unknown", "lines", other(lines=1)),
            ("proxy.key.missing", "`access`", other(routes=[{
                "name": "r", "match": "any", "backends": ["a"]}])),
            ("proxy.key.missing", "`protection`", other(listeners=[{
                "name": "l", "address": "127.0.0.1:1"}])),
            ("proxy.key.missing", "`roots`", other(backends=[{
                **back, "protection": "tls", "server_name": "x"}])),
            ("proxy.key.unknown", "policy", other(backends=[{**back, "policy": "x"}])),
            ("proxy.value.refused", "leastest", other(routes=[
                route("r", ["a"], balance="leastest")])),
            ("proxy.value.refused", "off or records or tick", other(routes=[
                route("r", ["a"], padding="bucket")])),
            ("proxy.reference.unknown", "zz", other(routes=[route("r", ["zz"])])),
            ("proxy.reference.unknown", "nope", other(routes=[
                route("r", ["a"], {"listener": ["nope"]})])),
            ("proxy.name.duplicate", "front", other(listeners=[front, front])),
            ("proxy.address.duplicate", "8080", other(listeners=[
                front, {**front, "name": "other"}])),
            ("proxy.value.refused", "name.example", other(listeners=[
                {**front, "address": "name.example:80"}])),
            ("proxy.value.refused", "10 furlongs", other(backends=[
                {**back, "connect_timeout": "10 furlongs"}])),
            ("proxy.value.refused", "v1", other(listeners=[{**front, "proxy_protocol": "v1"}])),
            ("proxy.value.refused", "/a/../b", other(routes=[
                route("r", ["a"], {"path": ["/a/../b"]})])),
            ("proxy.value.refused", "A.example", other(routes=[
                route("r", ["a"], {"host": ["A.example"]})])),
            ("proxy.value.refused", "criteria", other(routes=[route("r", ["a"], {})])),
            ("proxy.file.unreadable", "none.pem", other(listeners=[
                {**front, "protection": "tls", "certificate": "none.pem", "key": "none.key"}])),
            ("policy.file.unreadable", "none.yaml", other(listeners=[
                {**front, "protection": "attested", "policy": "none.yaml"}])),
            ("proxy.passthrough.protection", "plain", other(
                listeners=[{**front, "protection": "passthrough", "backends": ["a"]}],
                routes=[], backends=[{**back, "protection": "tls", "server_name": "x",
                                      "roots": "system"}])),
            ("proxy.value.refused", "workers", other(workers="many")),
            ("proxy.value.refused", "attester", other(attestation={"attester": "magic"})),
        ]
        for code, word, document in bad:
            file.write_text(json.dumps(document))
            status, text = check(context, file)
            flat = " ".join(text.split())
            assert status == 2 and code in text and word in flat, (code, word, status, text)
            assert "line 1" in flat or code == "policy.file.unreadable", text
            assert "remedy" in text and str(file) in flat.replace(" ", ""), text
        file.write_text("version: 1\nversion: 1\n")
        assert check(context, file)[0] == 2
        assert check(context, pathlib.Path(folder) / "absent.yaml")[0] == 2


def test_the_example_in_the_documentation_can_be_used(context):
    root = pathlib.Path(__file__).resolve().parent.parent.parent
    page = (root / "Sources/Ratel/Ratel.docc/Proxy.md").read_text()
    with scratch() as folder:
        path = pathlib.Path(folder)
        (path / "proxy.yaml").write_text(page.split("```yaml\n")[1].split("```")[0])
        names = Names(folder, "partner-root")
        names.issue("web")
        for name in ("callers.yaml", "server.yaml"):
            (path / name).write_text(SIMULATED)
        status, text = check(context, path / "proxy.yaml")
        assert status == 0, text
        for word in ("web", "nodes", "raw", "gpu-1", "partner", "enclave", "private", "rest"):
            assert f"  {word} " in text, text
