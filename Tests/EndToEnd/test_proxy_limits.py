"""`ratel proxy`: what a route or a listener does not allow does not happen, on any way there."""

import contextlib
import json
import pathlib
import time

from backend import answer
from h2peer import H2Client
from harness import ANONYMOUS, SIMULATED, scratch, wait_until
from proxied import Names, backends, entry, listener, naming, port_of, proxy, route
from test_proxy_sides import ATTESTED, connecting
from wire import Client, ask, get, post


def code(reply):
    return json.loads(reply.body)["error"]["code"]


def model(name, filler=0):
    return b'{"messages": "%s", "model": "%s"}' % (b"x" * filler, name.encode())


def test_a_route_of_one_listener_is_not_for_another(context):
    with backends("a", "b") as (a, b):
        inner, outer = listener("inner"), listener("outer")
        document = {"listeners": [inner, outer], "backends": [entry(a), entry(b)],
                    "routes": [route("private", ["a"], {"listener": ["inner"]}),
                               route("public", ["b"], {"path": ["/public"]})]}
        with proxy(context, document):
            assert get(port_of(inner), "/x").body.startswith(b"a")
            assert get(port_of(outer), "/public").body.startswith(b"b")
            assert code(get(port_of(outer), "/x")) == "proxy.route.none"


def test_access_is_for_attested_peers_of_that_name(context):
    with scratch() as folder, backends("a") as (a,):
        path = pathlib.Path(folder)
        (path / "anonymous.yaml").write_text(ANONYMOUS)
        chain, key = Names(folder).issue("front.example")
        plain = listener("plain")
        web = listener("web", "tls", certificate=chain, key=key)
        nodes = listener("nodes", "attested", policy="anonymous.yaml")
        # The word that stands for nobody in particular opens nothing either.
        document = {**ATTESTED, "listeners": [plain, web, nodes], "backends": [entry(a)],
                    "routes": [route("all", ["a"], access={"peers": ["anonymous", "good"]})]}
        with proxy(context, document, folder=folder) as running:
            assert code(get(port_of(plain))) == "proxy.access.peer"
            forged = get(port_of(plain), "/", "X-Ratel-Peer: good", "X-Ratel-Tier: session")
            assert forged.status == 403
            with H2Client(port_of(web)) as client:
                assert client.answer(client.request("/"))[0] == 403
            with connecting(context, folder, port_of(nodes), SIMULATED) as port:
                assert get(port).status == 403
            assert running.metric("ratel_backend_requests_total", backend="a") == 0


def test_a_body_is_held_to_its_limit_where_it_is_read_for_its_model(context):
    with backends("a") as (a,):
        front = listener()
        document = {"listeners": [front], "backends": [entry(a)],
                    "routes": [route("m", ["a"], {"model": ["m"]}, limits={"body": "1KiB"})]}
        with proxy(context, document):
            port = port_of(front)
            chunked = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"

            def send(body):
                return ask(port, chunked + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))

            good = model("m", 1024 - len(model("m")))
            assert send(good).status == 200 and len(good) == 1024
            assert code(send(model("m", 1024))) == "http.body.too_large"
            # The limit also holds for what comes after the model.
            assert code(send(good[:-1] + b" }")) == "http.body.too_large"
            # A length is enough to know; nothing is waited for.
            head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1025\r\n\r\n"
            assert code(ask(port, head + model("m"))) == "http.body.too_large"


def test_what_was_read_of_a_refused_request_is_not_sent_with_the_next(context):
    with backends("a") as (a,):
        front = listener()
        routes = [route("closed", ["a"], {"model": ["closed"]}, access={"peers": ["p"]}),
                  route("open", ["a"], {"model": ["open"]}), route("rest", ["a"])]
        document = {"listeners": [front], "backends": [entry(a)], "routes": routes}
        with proxy(context, document):
            with Client(port_of(front)) as client:
                for _ in range(3):
                    client.send(post("/", model("closed")))
                    assert client.answer().status == 403
                    client.send(b"GET /0 HTTP/1.1\r\nHost: h\r\n\r\n")
                    assert client.answer().body == b"a GET /0 0"
                    client.send(post("/1", model("open")) + post("/2", b"12345"))
                    size = len(model("open"))
                    assert client.answer().body == b"a POST /1 %d" % size
                    assert client.answer().body == b"a POST /2 5"
                    client.send(b"GET /3 HTTP/1.1\r\nHost: h\r\n\r\n")
                    assert client.answer().body == b"a GET /3 0"


def test_models_on_streams_of_http2(context):
    with scratch() as folder, backends("a", "b") as (a, b):
        chain, key = Names(folder).issue("front.example")
        front = listener(protection="tls", certificate=chain, key=key)
        document = {"listeners": [front], "backends": [entry(a), entry(b)],
                    "routes": [route("a", ["a"], {"model": ["m"]}), route("b", ["b"])]}
        with proxy(context, document), H2Client(port_of(front)) as client:
            # One stream's prompt is read over while the others go on; one of unknown length.
            slow = client.request("/slow", "POST", b'{"messages": "', ends=False)
            for number, filler in enumerate((0, 100_000, 200_000)):
                body = model("m", filler)
                fields = [("content-length", str(len(body)))] if number else []
                stream = client.request("/x", "POST", body, fields)
                assert client.answer(stream)[2] == b"a POST /x %d" % len(body)
            assert client.answer(client.request("/y", "POST", model("n")))[2].startswith(b"b")
            client.send(slow, b'", "model": "m"}')
            assert client.answer(slow)[2] == b"a POST /slow 30"


def test_memory_for_models_has_a_limit(context):
    with backends("a") as (a,):
        front = listener()
        # Sixteen buffers are 272 KiB: room to read one body.
        document = {"listeners": [front], "backends": [entry(a)], "buffers": 16,
                    "routes": [route("m", ["a"], {"model": ["m"]}), route("rest", ["a"])]}
        with proxy(context, document):
            head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n{"
            for _ in range(3):
                with Client(port_of(front)) as one:
                    one.send(head)

                    def refused():
                        reply = ask(port_of(front), post("/", model("m")))
                        return reply.status == 503 and reply

                    reply = wait_until(refused, 5, "the refusal")
                    assert code(reply) == "proxy.inspections.full"
                    assert reply.field("retry-after") == "1"
                    assert get(port_of(front)).status == 200, "what has no body is not concerned"
                # The caller that left has given its place back.
                wait_until(lambda: ask(port_of(front), post("/", model("m"))).status == 200, 5,
                           "a free place")


def test_a_body_that_stops_before_its_model_is_given_up(context):
    with backends("a") as (a,):
        front = listener()
        document = {"listeners": [front], "backends": [entry(a)],
                    "routes": [route("m", ["a"], {"model": ["m"]})]}
        with proxy(context, document) as running:
            with Client(port_of(front)) as client:
                client.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n{")
                client.socket.shutdown(1)
                assert not client.fill()
            running.wait_for("ratel_streams", 0)
            with Client(port_of(front)) as client:
                client.send(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nz")
                assert client.answer().status == 400
            running.wait_for("ratel_streams", 0)


def test_nothing_is_sent_twice(context):
    seen = []

    def dying(name):
        def handler(connection):
            if name == "a":
                seen.append(connection.request())
                return connection.reset()
            return naming(name)(connection)

        return handler

    with backends("a", "b", handler=dying) as (a, b):
        front = listener()
        quiet = {"interval": "60s"}
        document = {"listeners": [front],
                    "backends": [entry(a, health=quiet), entry(b, health=quiet)],
                    "routes": [route("all", ["a", "b"])]}
        with proxy(context, document) as running:
            running.checked("a", "b")
            replies = [ask(port_of(front), post("/", b"x")) for _ in range(6)]
            failed = [reply for reply in replies if reply.status == 502]
            assert failed and len(failed) == len(seen), "each was sent to one backend alone"
            assert {code(reply) for reply in failed} == {"upstream.no_answer"}
            assert all(reply.body == b"b POST / 1" for reply in replies if reply.status == 200)


def test_listeners_take_as_many_connections_as_they_may(context):
    def held(name):
        def handler(connection):
            while data := connection.socket.recv(100):
                connection.socket.sendall(answer(data))

        return handler

    with backends("a", handler=held) as (a,):
        front = listener(max_connections=2)
        tunnel = listener("tunnel", "passthrough", backends=["a"], max_connections=2)
        quiet = entry(a, health={"interval": "60s"})
        document = {"listeners": [front, tunnel], "backends": [quiet],
                    "routes": [route("all", ["a"])]}
        request = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
        with proxy(context, document) as running, contextlib.ExitStack() as stack:
            for port in (port_of(front), port_of(tunnel)):
                for _ in range(2):
                    client = stack.enter_context(Client(port))
                    client.send(request)
                    assert client.answer().status == 200
                with Client(port) as third:
                    with contextlib.suppress(OSError):
                        third.send(request)
                    assert not third.fill()
            for one in (front, tunnel):
                one["max_connections"] = 3
            running.reload(document)
            time.sleep(0.05)
            for port in (port_of(front), port_of(tunnel)):
                with Client(port) as third:
                    third.send(request)
                    assert third.answer().status == 200
