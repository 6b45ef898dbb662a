"""`ratel proxy` with TLS and attestation on either side: nobody is taken for somebody else."""

import contextlib
import json
import pathlib
import ssl

from backend import Backend, answer
from h2peer import H2Client
from harness import ANONYMOUS, SIMULATED, Process, free_port, scratch
from proxied import Names, backends, behind_tls, entry, listener, naming, port_of, proxy, route
from wire import Client, get, post


def code(reply):
    return json.loads(reply.body)["error"]["code"]


class Secure(Client):
    def __init__(self, port, context, name):
        super().__init__(port)
        self.socket = context.wrap_socket(self.socket, server_hostname=name)


def test_tls_in_front_speaks_both_protocols(context):
    with scratch() as folder, backends("a") as (a,):
        names = Names(folder)
        chain, key = names.issue("front.example")
        front = listener(protection="tls", certificate=chain, key=key)
        document = {"listeners": [front], "backends": [entry(a)], "routes": [route("all", ["a"])]}
        with proxy(context, document):
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                settings = names.client()
                settings.maximum_version = version
                with Secure(port_of(front), settings, "front.example") as client:
                    client.send(b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n")
                    assert client.answer().body == b"a GET /x 0"
            settings = names.client()
            settings.maximum_version = ssl.TLSVersion.TLSv1_2
            settings.set_ciphers("AES128-SHA")
            try:
                Secure(port_of(front), settings, "front.example").close()
                raise AssertionError("TLS without forward secrecy")
            except ssl.SSLError:
                pass
            with H2Client(port_of(front)) as client:
                streams = [client.request(f"/{number}") for number in range(5)]
                for number, stream in enumerate(streams):
                    assert client.answer(stream)[2] == f"a GET /{number} 0".encode()
            # Plaintext to it is no request.
            with Client(port_of(front)) as client:
                client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                while client.fill():
                    pass
                assert b"HTTP/1.1 2" not in client.buffer


def test_a_new_certificate_is_taken_with_a_reload(context):
    with scratch() as folder, backends("a") as (a,):
        names = Names(folder)
        chain, key = names.issue("front.example")
        front = listener(protection="tls", certificate="front.example.pem",
                         key="front.example.key")
        document = {"listeners": [front], "backends": [entry(a)], "routes": [route("all", ["a"])]}
        with proxy(context, document, folder=folder) as running:
            def serial():
                with Secure(port_of(front), names.client(), "front.example") as client:
                    return client.socket.getpeercert()["serialNumber"]

            before = serial()
            names.issue("front.example")
            assert serial() == before
            running.reload()
            assert serial() != before


def test_tls_behind_takes_the_right_name_and_root_alone(context):
    with scratch() as folder, backends("a") as (a,):
        names, others = Names(folder), Names(folder, "others")
        a.handler = behind_tls(*names.issue("back.example"), naming("a"))
        front = listener()

        def behind(name, server, roots):
            return entry(a, name=name, protection="tls", server_name=server, roots=str(roots))

        document = {
            "listeners": [front],
            "backends": [behind("good", "back.example", names.file),
                         behind("name", "other.example", names.file),
                         behind("root", "back.example", others.file),
                         behind("system", "back.example", "system"),
                         entry(a, name="plain")],
            "routes": [route(name, [name], {"path": [f"/{name}"]})
                       for name in ("good", "name", "root", "system")]}
        with proxy(context, document) as running:
            running.checked("good")
            with Client(port_of(front)) as client:
                for _ in range(3):
                    client.send(b"GET /good HTTP/1.1\r\nHost: h\r\n\r\n")
                    assert client.answer().body == b"a GET /good 0"
            assert running.metric("ratel_backend_connections_total", backend="good") == 1
            assert running.metric("ratel_backend_reuses_total", backend="good") == 2
            for name in ("name", "root", "system"):
                reply = get(port_of(front), f"/{name}")
                assert reply.status == 502 and code(reply) == "upstream.tls", (name, reply.body)


def test_health_over_tls(context):
    with scratch() as folder, backends("a", "b") as (a, b):
        names, others = Names(folder), Names(folder, "others")
        a.handler = behind_tls(*names.issue("back.example"), naming("a"))
        b.handler = behind_tls(*others.issue("wrong.example"), naming("b"))
        health = {"get": "/health", "interval": "100ms", "timeout": "1s"}
        document = {
            "listeners": [listener()], "routes": [],
            "backends": [entry(backend, protection="tls", server_name="back.example",
                               roots=str(names.file), health=health) for backend in (a, b)]}
        with proxy(context, document) as running:
            running.checked("a")
            running.wait_for("ratel_backend_up", 0, backend="b")


@contextlib.contextmanager
def connecting(context, folder, port, policy=SIMULATED, *words):
    """`ratel connect` to a proxy; answers its port."""
    listen = free_port()
    file = pathlib.Path(folder) / f"connect-{listen}.yaml"
    file.write_text(policy)
    command = [context.ratel, "connect", f"127.0.0.1:{port}", "--policy", file,
               "--listen", f"127.0.0.1:{listen}", *words]
    with Process(f"connect-{listen}", command, folder) as process:
        process.wait_for_port(listen)
        yield listen


ATTESTED = {"attestation": {"attester": "simulated"}}
PEERS = ("version: 1\npeers:\n"
         "  - {name: good, simulated: true, configuration: {access_log: ['off']}}\n"
         "  - {name: chatty, simulated: true}\n")


def test_attested_in_front_shows_and_asks_for_evidence(context):
    def peers(name):
        def handler(connection):
            while True:
                request = connection.request()
                body = [request.field("x-ratel-peer"), request.field("x-ratel-tier")]
                connection.send(answer(json.dumps(body).encode()))

        return handler

    with scratch() as folder, backends("a", handler=peers) as (a,):
        path = pathlib.Path(folder)
        (path / "callers.yaml").write_text(PEERS)
        front = listener(protection="attested", policy="callers.yaml")
        open_front = listener("open", "attested", policy="anonymous.yaml")
        (path / "anonymous.yaml").write_text(ANONYMOUS)
        routes = [route("own", ["a"], {"path": ["/own"]}, access={"peers": ["good"]}),
                  route("all", ["a"])]
        document = {**ATTESTED, "listeners": [front, open_front], "backends": [entry(a)],
                    "routes": routes}
        with proxy(context, document, folder=folder):
            words = ["--attester", "simulated"]
            with connecting(context, folder, port_of(front), SIMULATED, *words) as port:
                assert json.loads(get(port).body) == ["good", "session"]
                assert get(port, "/own").status == 200
            words += ["--access-log", "metadata"]
            with connecting(context, folder, port_of(front), SIMULATED, *words) as port:
                assert json.loads(get(port).body) == ["chatty", "session"]
                reply = get(port, "/own")
                assert reply.status == 403 and code(reply) == "proxy.access.peer", reply.body
            with connecting(context, folder, port_of(front)) as port:
                assert get(port).status == 502, "a caller without Evidence"
            with connecting(context, folder, port_of(open_front)) as port:
                assert json.loads(get(port).body) == ["anonymous", "none"]
                assert get(port, "/own").status == 403, "nobody is no peer"
            # What the proxy says of itself is true: its backend is on this machine.
            for value, status in (("loopback", 200), ("network", 502)):
                policy = ("version: 1\npeers: [{name: p, simulated: true, configuration: "
                          f"{{use: [proxy], backend: [{value}]}}}}]\n")
                with connecting(context, folder, port_of(open_front), policy) as port:
                    assert get(port).status == status, value


def test_attested_behind_takes_the_policys_server_alone(context):
    with scratch() as folder, backends("a") as (a,):
        path = pathlib.Path(folder)
        (path / "anonymous.yaml").write_text(ANONYMOUS)
        (path / "good.yaml").write_text(SIMULATED)
        (path / "bad.yaml").write_text(
            "version: 1\npeers: [{name: s, simulated: true, configuration: {use: [route]}}]\n")
        server = free_port()
        command = [context.ratel, "serve", "--listen", f"127.0.0.1:{server}", "--admin", "off",
                   "--backend", f"http://127.0.0.1:{a.port}", "--attester", "simulated",
                   "--policy", path / "anonymous.yaml"]
        with Process("serve", command, folder) as serve:
            serve.wait_for_port(server)
            front = listener()

            def behind(name):
                return {"name": name, "address": f"127.0.0.1:{server}", "protection": "attested",
                        "policy": f"{name}.yaml", "health": {"interval": "60s"}}

            document = {
                **ATTESTED, "listeners": [front], "backends": [behind("good"), behind("bad")],
                "routes": [route("bad", ["bad"], {"path": ["/bad"]}),
                           route("either", ["bad", "good"], {"path": ["/either"]}),
                           route("all", ["good"])]}
            with proxy(context, document, folder=folder) as running:
                running.checked("good", "bad")
                assert get(port_of(front), "/x").body == b"a GET /x 0"
                reply = get(port_of(front), "/bad")
                assert reply.status == 502 and code(reply) == "configuration.value.refused"
                assert running.metric("ratel_backend_up", backend="bad") == 0
                assert get(port_of(front), "/either").body == b"a GET /either 0"


def test_an_attested_pair_of_proxies_over_tls_only_callers(context):
    """Callers by TLS, an attested way between two proxies, and a backend on a Unix socket."""
    with scratch() as folder:
        path = pathlib.Path(folder)
        names = Names(folder)
        chain, key = names.issue("front.example")
        (path / "anonymous.yaml").write_text(ANONYMOUS)
        (path / "good.yaml").write_text(SIMULATED)
        backend = Backend(str(path / "llm.sock"))
        inner = {**ATTESTED, "listeners": [listener("in", "attested", policy="anonymous.yaml")],
                 "backends": [{"name": "a", "address": f"unix:{path}/llm.sock",
                               "protection": "plain"}],
                 "routes": [route("all", ["a"])]}
        front = listener(protection="tls", certificate=chain, key=key)
        routes = [route("m", ["inner"], {"model": ["m"]}), route("all", ["inner"])]
        outer = {"listeners": [front], "routes": routes,
                 "attestation": {"attester": "none"},
                 "backends": [{"name": "inner", "address": inner["listeners"][0]["address"],
                               "protection": "attested", "policy": "good.yaml"}]}
        (path / "one").mkdir()
        for name in ("anonymous.yaml", "good.yaml"):
            (path / "one" / name).write_text((path / name).read_text())
        with proxy(context, inner, folder=path / "one"), \
                proxy(context, outer, folder=folder) as running:
            with Secure(port_of(front), names.client(), "front.example") as client:
                client.send(b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n")
                assert client.answer().body == b"GET /x 0"
                # Bodies whose beginning was read go on as streams of HTTP/2, in chunks or not.
                for filler in (0, 20_000, 200_000):
                    text = b'{"messages": "%s", "model": "m", "stream": true}' % (b"x" * filler)
                    client.send(post("/sized", text))
                    assert client.answer().body == b"POST /sized %d" % len(text)
                    head = b"POST /chunked HTTP/1.1\r\nHost: h\r\n"
                    head += b"Transfer-Encoding: chunked\r\n\r\n"
                    pieces = [text[at:at + 7_000] for at in range(0, len(text), 7_000)]
                    for piece in [head] + [b"%x\r\n%s\r\n" % (len(piece), piece)
                                           for piece in pieces] + [b"0\r\n\r\n"]:
                        client.send(piece)
                    assert client.answer().body == b"POST /chunked %d" % len(text)
                body = b'{"model": "m"}'
                head = b"POST /slow HTTP/1.1\r\nHost: h\r\nContent-Length: 400014\r\n\r\n"
                client.send(head)
                client.send(body)
                client.send(b" " * 400_000)
                assert client.answer().body == b"POST /slow 400014"
            assert running.metric("ratel_route_requests_total", route="m") == 7
            assert running.metric("ratel_backend_connections_total", backend="inner") == 1
        backend.close()
