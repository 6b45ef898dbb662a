"""`ratel proxy`: requests go where the file says, and stay within its limits."""

import json
import threading
import time

from backend import CHUNKED, answer
from harness import wait_until
from proxied import ask_host, backends, entry, listener, port_of, proxy, route, stop
from wire import Client, ask, get, post


def code(reply):
    return json.loads(reply.body)["error"]["code"]


def test_routes_by_host_path_and_header_first_match_wins(context):
    with backends("a", "b", "c", "d") as all_four:
        front = listener()
        routes = [
            route("exact", ["a"], {"host": ["api.example.com"], "path": ["/v1"]}),
            route("below", ["b"], {"host": ["*.example.com"]}),
            route("header", ["c"], {"header": {"x-tier": "gold"}}),
            route("path", ["d"], {"path": ["/v1", "/v2/"]}),
        ]
        document = {"listeners": [front], "routes": routes,
                    "backends": [entry(backend) for backend in all_four]}
        with proxy(context, document) as running:
            port = port_of(front)

            def who(host, target="/", *lines):
                reply = ask_host(port, host, target, *lines)
                return reply.body.split()[0].decode() if reply.status == 200 else code(reply)

            assert who("api.example.com", "/v1/models") == "a"
            assert who("API.Example.Com:8443", "/v1?x") == "a"
            assert who("api.example.com", "/v10") == "b", "a prefix ends at a segment's end"
            assert who("x.y.example.com") == "b"
            assert who("example.com") == "proxy.route.none", "the suffix alone is not below it"
            assert who("badexample.com") == "proxy.route.none"
            assert who("h", "/", "X-Tier: gold") == "c"
            assert who("h", "/", "X-Tier: golden") == "proxy.route.none"
            assert who("h", "/v1/x", "X-Tier: gold") == "c", "the first that matches"
            assert who("h", "/v1") == "d" and who("h", "/v2/x") == "d"
            assert who("h", "/v2") == "proxy.route.none"
            assert who("h", "/%761/x") == "d", "an escape without need is undone"
            assert ask_host(port, "nowhere").status == 404
            assert running.metric("ratel_route_requests_total", route="exact") == 2
            assert 'route=exact' in running.process.text()


def test_paths_that_backends_may_read_otherwise_are_refused(context):
    with backends("a") as (a,):
        front = listener()
        document = {"listeners": [front], "backends": [entry(a)],
                    "routes": [route("all", ["a"], {"path": ["/"]})]}
        with proxy(context, document):
            for path in ("/v1/../admin", "/v1/%2e%2E/admin", "/./v1", "//admin", "/a%2fb",
                         "/a%5cb", "/..;/admin", "/a/.."):
                reply = get(port_of(front), path)
                assert reply.status == 400 and code(reply) == "proxy.path.ambiguous", path
            for path in ("/", "/v1/", "/a%20b", "/a..b", "/.well-known/x"):
                assert get(port_of(front), path).status == 200, path


def test_routes_by_model(context):
    with backends("small", "large", "other") as all_three:
        front = listener()
        routes = [
            route("small", ["small"], {"path": ["/v1"], "model": ["llama-8b", "org/ü"]}),
            route("large", ["large"], {"model": ["llama-70b"]}),
            route("other", ["other"]),
        ]
        document = {"listeners": [front], "routes": routes,
                    "backends": [entry(backend) for backend in all_three]}
        with proxy(context, document):
            port = port_of(front)

            def who(body, target="/v1/chat/completions"):
                reply = ask(port, post(target, body))
                assert reply.status == 200, reply.body
                name, _, _, size = reply.body.decode().split()
                assert int(size) == len(body), "the body arrives whole"
                return name

            prompt = b"x" * 200_000
            assert who(b'{"model": "llama-8b"}') == "small"
            assert who(b'{"messages": [{"model": "llama-70b"}], "model":"llama-8b"}') == "small"
            assert who(b'{"p": "\\"model\\":", "mod\\u0065l": "llama\\u002d70b"}') == "large"
            assert who('{"model": "org/ü"}'.encode()) == "small"
            assert who(b'{"messages": "' + prompt + b'", "model": "llama-70b"}') == "large"
            assert who(b'{"messages": "' + prompt * 2 + b'", "model": "llama-70b"}') == "other", \
                "past 256 KiB it is not looked for"
            assert who(b'{"model": 1}') == "other" and who(b"model=llama-8b") == "other"
            assert who(b"{}") == "other" and who(b'{"model": "llama-8b"}', "/") == "other"
            assert get(port, "/v1/models").body.startswith(b"other")
            chunked = b"POST /v1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
            reply = ask(port, chunked + b'a\r\n{"model":"\r\nA\r\nllama-8b"}\r\n0\r\n\r\n')
            assert reply.body == b"small POST /v1 20", reply.body


def test_a_model_in_pieces_and_behind_a_100(context):
    with backends("a", "b") as (a, b):
        front, expectations = listener(), []

        def noting(connection):
            while True:
                request = connection.request()
                expectations.append(request.field("expect"))
                connection.send(answer(b"a POST / %d" % len(request.body)))

        a.handler = noting
        document = {"listeners": [front], "backends": [entry(a), entry(b)],
                    "routes": [route("a", ["a"], {"model": ["m"]}), route("b", ["b"])]}
        with proxy(context, document):
            body = b'{"messages": [], "model": "m", "stream": true}'
            with Client(port_of(front)) as client:
                for byte in post("/", body):
                    client.send(bytes([byte]))
                assert client.answer().body == b"a POST / 46"
                # And the next request on the connection is routed anew.
                client.send(post("/", b'{"model": "n"}') + post("/", body))
                assert client.answer().body.startswith(b"b")
                assert client.answer().body == b"a POST / 46"
                head = b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
                client.send(head + b"Content-Length: 46\r\n\r\n")
                got = client.answer(on_interim=lambda: client.send(body))
                assert got.interim == [100] and got.body == b"a POST / 46"
                assert expectations == [None] * 3, "the 100 was sent here"


def test_least_streams_spreads_and_failover_skips_the_dead(context):
    gate = threading.Event()

    def waiting(name):
        def handler(connection):
            while True:
                request = connection.request()
                if request.target == "/wait":
                    gate.wait(10)
                connection.send(answer(name.encode()))

        return handler

    with backends("a", "b", handler=waiting) as (a, b):
        front = listener()
        document = {"listeners": [front], "backends": [entry(a), entry(b)],
                    "routes": [route("all", ["a", "b"])]}
        with proxy(context, document) as running:
            running.checked("a", "b")
            with Client(port_of(front)) as one, Client(port_of(front)) as two:
                one.send(b"GET /wait HTTP/1.1\r\nHost: h\r\n\r\n")
                wait_until(lambda: running.metric("ratel_route_streams", route="all") == 1, 5,
                           "the first stream")
                busy = "a" if running.metric("ratel_backend_streams", backend="a") else "b"
                for _ in range(6):
                    two.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                    assert two.answer().body.decode() != busy
                gate.set()
                assert one.answer().body.decode() == busy
            seen = {get(port_of(front)).body for _ in range(8)}
            assert seen == {b"a", b"b"}, "ties take turns"
            stop(a)
            for _ in range(8):
                assert get(port_of(front)).body == b"b"
            running.wait_for("ratel_backend_up", 0, backend="a")
            stop(b)
            wait_until(lambda: get(port_of(front)).status == 503, 10, "the refusal")
            reply = get(port_of(front))
            error = json.loads(reply.body)["error"]
            assert error["code"] == "proxy.backends.down", error
            assert "a: " in error["got"] and "b: " in error["got"]
            assert reply.field("retry-after") == "1"


def test_limits_of_a_route(context):
    gate = threading.Event()

    def waiting(name):
        def handler(connection):
            while True:
                request = connection.request()
                if request.target == "/wait":
                    gate.wait(10)
                connection.send(answer(b"%d" % len(request.body)))

        return handler

    with backends("a", handler=waiting) as (a,):
        front = listener()
        document = {"listeners": [front], "backends": [entry(a)],
                    "routes": [route("all", ["a"], limits={"streams": 1, "body": "1KiB"})]}
        with proxy(context, document) as running:
            port = port_of(front)
            assert ask(port, post("/", b"x" * 1024)).body == b"1024"
            reply = ask(port, post("/", b"x" * 1025))
            assert reply.status == 413 and code(reply) == "http.body.too_large"
            chunked = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
            piece = b"200\r\n" + b"x" * 512 + b"\r\n"
            assert ask(port, chunked + piece * 2 + b"0\r\n\r\n").body == b"1024"
            reply = ask(port, chunked + piece * 2 + b"1\r\nx\r\n0\r\n\r\n")
            assert reply.status == 413, reply.status
            with Client(port) as client:
                client.send(b"GET /wait HTTP/1.1\r\nHost: h\r\n\r\n")
                wait_until(lambda: running.metric("ratel_route_streams", route="all") == 1, 5,
                           "the first stream")
                reply = get(port)
                assert reply.status == 429 and code(reply) == "proxy.streams.limit"
                assert reply.field("retry-after") == "1"
                gate.set()
                assert client.answer().body == b"0"
            running.wait_for("ratel_route_streams", 0, route="all")
            assert get(port).status == 200
            assert running.metric("ratel_route_failures_total", route="all") == 3


def test_timeouts_of_a_route(context):
    def slow(name):
        def handler(connection):
            request = connection.request()
            if request.target == "/first":
                time.sleep(5)
            connection.send(CHUNKED)
            connection.chunk(b"x")
            time.sleep(5)

        return handler

    with backends("a", handler=slow) as (a,):
        front = listener()
        times = {"first_byte": "200ms", "gap": "200ms"}
        document = {"listeners": [front], "backends": [entry(a)],
                    "routes": [route("all", ["a"], timeouts=times)]}
        with proxy(context, document):
            reply = get(port_of(front), "/first")
            assert reply.status == 504 and code(reply) == "upstream.first_byte_timeout"
            reply = get(port_of(front), "/gap")
            assert reply.status == 200 and not reply.complete
