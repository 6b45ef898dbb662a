"""The well-known endpoint: challenges, the static form, and paths that never reach a backend."""

import contextlib
import json
import pathlib
import signal
import threading

import cbor2
from cryptography.x509 import ExtensionNotFound, ObjectIdentifier
from h2peer import H2Client
from harness import ANONYMOUS, Process, free_port, scratch, wait_until
from proxied import Names, backends, entry, listener, port_of, proxy, route
from third_party import CBOR, PATH, Caller, challenge, error, server
from wire import Client

import verify_session as client  # noqa: E402, I001

LIMIT = 4096
SIMULATED = 255
ID_PE_CMW = ObjectIdentifier("1.3.6.1.5.5.7.1.35")


@contextlib.contextmanager
def serving(context, *arguments, policy=ANONYMOUS, attester="simulated"):
    """A sidecar whose quotes cost nothing; answers its port and what the backend heard."""
    heard = []

    def handler(connection):
        while True:
            request = connection.request()
            heard.append(request.target)
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

    context.backend.handler = handler
    with scratch() as path:
        folder, port = pathlib.Path(path), free_port()
        (folder / "policy.yaml").write_text(policy)
        command = [context.ratel, "serve", "--listen", f"127.0.0.1:{port}", "--admin", "off"]
        command += ["--backend", f"http://127.0.0.1:{context.backend.port}"]
        command += ["--policy", folder / "policy.yaml", "--attester", attester, *arguments]
        with Process("serve", command, folder) as process:
            process.wait_for_port(port)
            yield port, heard


def is_evidence(body):
    fields = cbor2.loads(body)
    return set(fields) >= {1, 2, 3, 4, 5, 6, 8} and len(fields[8]) == 64


def test_a_challenge_gets_evidence_and_the_connection_goes_on(context):
    with serving(context) as (port, heard), Caller(port) as caller:
        for _ in range(3):
            answer = caller.post(challenge([SIMULATED]))
            assert answer.status == 200 and is_evidence(answer.content), answer.content
            assert answer.getheader("content-type") == "application/cbor"
            assert answer.getheader("cache-control") == "no-store"
            assert caller.ask("GET", "/v1/models").content == b"hi"
        assert heard == ["/v1/models"] * 3


def test_each_answer_counts_once_on_its_connection(context):
    """What was not answered does not count; each number holds for one answer alone."""
    with server(context) as one, Caller(one.port) as caller:
        pins = one.pins()
        for sequence in range(3):
            assert caller.post(challenge([1])).status == 501
            asked = challenge()
            body = caller.post(asked).content
            client.check(body, asked, sequence, caller.secret, caller.spki, pins)


def test_an_exchange_counts_as_the_first(context):
    for question in (b"\xa0", challenge()):
        with server(context) as one, Caller(one.port, "ratel/1+http/1.1") as caller:
            pins = one.pins()
            caller.tls.sendall(b"\1" + len(question).to_bytes(3, "big") + question)
            assert caller.frame() == (1, b"\xa0")
            if question != b"\xa0":
                kind, body = caller.frame()
                assert kind == 2
                client.check(body, question, 0, caller.secret, caller.spki, pins)
                caller.tls.sendall(b"\4\0\0\3" + b"\xa1\1\0")
            # What asked for nothing has no number.
            first = 0 if question == b"\xa0" else 1
            for sequence in (first, first + 1):
                asked = challenge()
                body = caller.post(asked).content
                client.check(body, asked, sequence, caller.secret, caller.spki, pins)


def test_bodies_that_are_no_challenge_are_refused(context):
    with serving(context) as (port, heard):
        bad = [
            (b"\xa0", "exchange.challenge.empty"),
            (b"", "exchange.challenge.malformed"),
            (b"{}", "exchange.challenge.malformed"),
            (challenge([SIMULATED], bytes(31)), "exchange.challenge.malformed"),
            (challenge([SIMULATED]) + b"\0", "exchange.challenge.malformed"),
            # At the limit of its size, and no challenge for another reason.
            (b"x" * LIMIT, "exchange.challenge.malformed"),
        ]
        for body, code in bad:
            with Caller(port) as caller:
                answer = caller.post(body)
                assert (answer.status, error(answer)) == (400, code), (body, answer.content)
                # It was refused without harm to the connection.
                assert caller.post(challenge([SIMULATED])).status == 200
        for chunked in (False, True):
            with Caller(port) as caller:
                body = b"x" * (LIMIT + 1)
                answer = caller.post(iter([body]) if chunked else body)
                assert (answer.status, error(answer)) == (413, "http.body.too_large")
        for fields in ({}, {"Content-Type": "application/json"}, {"Content-Type": "text/cbor"}):
            with Caller(port) as caller:
                answer = caller.post(challenge([SIMULATED]), fields)
                assert (answer.status, error(answer)) == (415, "wellknown.type"), answer.content
        assert heard == []


def test_a_chunked_challenge_is_hashed_without_its_framing(context):
    with server(context) as one, Caller(one.port) as caller:
        pins, asked = one.pins(), challenge()
        answer = caller.post(iter([asked[:7], asked[7:8], asked[8:]]))
        client.check(answer.content, asked, 0, caller.secret, caller.spki, pins)


def test_who_waits_for_a_100_gets_it(context):
    with serving(context) as (port, _), Caller(port) as caller:
        body = challenge([SIMULATED])
        head = f"POST {PATH} HTTP/1.1\r\nHost: h\r\nContent-Type: application/cbor\r\n"
        head += f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
        caller.tls.sendall(head.encode())
        plain = Client.__new__(Client)
        plain.socket, plain.buffer = caller.tls, b""
        answer = plain.answer(on_interim=lambda: plain.send(body))
        assert answer.interim == [100] and answer.status == 200 and is_evidence(answer.body)


def test_pipelined_requests_are_answered_in_their_order(context):
    with serving(context) as (port, heard), Caller(port) as caller:
        body = challenge([SIMULATED])
        head = f"POST {PATH} HTTP/1.1\r\nHost: h\r\nContent-Type: application/cbor\r\n"
        one = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        plain = Client.__new__(Client)
        plain.socket, plain.buffer = caller.tls, b""
        plain.send(one + b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n" + one)
        assert is_evidence(plain.answer().body)
        assert plain.answer().body == b"hi"
        assert is_evidence(plain.answer().body)
        assert heard == ["/a"]


def test_methods_and_the_static_form(context):
    with serving(context) as (port, heard), Caller(port) as caller:
        extension = caller.leaf.extensions.get_extension_for_oid(ID_PE_CMW).value.value
        answer = caller.ask("GET")
        assert answer.status == 200, answer.content
        assert answer.getheader("content-type") == "application/cmw+cbor"
        # An OCTET STRING around the collection (RFC 9999): its header is 2 to 4 bytes.
        assert extension.endswith(answer.content) and 2 <= len(extension) - len(answer.content) <= 4
        assert list(cbor2.loads(answer.content)) == [f"{SIMULATED}.0"]
        length = len(answer.content)
        answer = caller.ask("HEAD")
        assert answer.status == 200 and answer.content == b""
        assert answer.getheader("content-length") == str(length)
        assert caller.ask("GET", PATH + "?a=b").status == 200
        for method in ("PUT", "DELETE", "OPTIONS", "PATCH", "post"):
            answer = caller.ask(method)
            assert (answer.status, error(answer)) == (405, "wellknown.method"), method
            assert answer.getheader("allow") == "GET, HEAD, POST"
        assert heard == []


def test_a_provided_certificate_has_no_static_form(context):
    with scratch() as folder:
        chain, key = Names(folder).issue("server")
        given = ("--tls-certificate", chain, "--tls-key", key)
        with serving(context, *given) as (port, _), Caller(port) as caller:
            with contextlib.suppress(ExtensionNotFound):
                caller.leaf.extensions.get_extension_for_oid(ID_PE_CMW)
                raise AssertionError("Evidence in a provided certificate")
            answer = caller.ask("GET")
            assert (answer.status, error(answer)) == (404, "wellknown.static")
            # Evidence over the connection needs nothing of the certificate.
            assert caller.post(challenge([SIMULATED])).status == 200


def test_what_this_side_cannot_do_is_said(context):
    with serving(context) as (port, _), Caller(port) as caller:
        answer = caller.post(challenge([3]))
        assert (answer.status, error(answer)) == (501, "attester.kind.unwanted")
    with serving(context, attester="none") as (port, _), Caller(port) as caller:
        answer = caller.post(challenge([3]))
        assert (answer.status, error(answer)) == (404, "attester.none")
        answer = caller.ask("GET")
        assert (answer.status, error(answer)) == (404, "wellknown.static")


SPELLINGS = [
    "/.well-known/ratel", "/.well-known/ratel/", "/.well-known/ratel/other", PATH + "/", PATH + ".",
    PATH + ";a=b", PATH + "%00", PATH + "%3Fa", "/.well-known//ratel/attestation", "/" + PATH,
    "/./.well-known/ratel/attestation", "/.well-known/./ratel/attestation",
    "/a/../.well-known/ratel/attestation", "/.well-known/a/%2e%2e/ratel/attestation",
    "/.well-known/a/..;b/ratel/attestation", "/.well-known;a=b/ratel;c/attestation",
    "/%2ewell-known/ratel/attestation", "/.well-known%2fratel/attestation",
    "/.well-known%2Fratel%2Fattestation", "/.well-known%5cratel%5Cattestation",
    "/.well-known/%72atel/attestation", "/.well-known/%2572atel/attestation",
    "/.well-known/%252572atel/attestation", "/%25%32%65well-known/ratel/attestation",
    "/.WELL-KNOWN/Ratel/Attestation", "/.well-known./ratel%20/attestation",
    "/" + "".join(f"%{ord(letter):02x}" for letter in PATH[1:]),
]


def test_no_spelling_reaches_a_backend(context):
    with serving(context) as (port, heard):
        for path in SPELLINGS:
            for method in ("GET", "POST"):
                with Caller(port) as caller:
                    body = challenge([SIMULATED]) if method == "POST" else None
                    answer = caller.ask(method, path, body, CBOR)
                    assert (answer.status, error(answer)) == (404, "wellknown.path"), path
                with H2Client(port) as two:
                    answer = two.answer(two.request(path, method, body))
                    assert answer[0] == 404, (path, answer)
        assert heard == []
        # What is only like it does.
        for path in ("/.well-known/other", "/ratel/attestation", "/v1/ratel", "/.well-known%25"):
            with Caller(port) as caller:
                assert caller.ask("GET", path).content == b"hi"
            assert heard.pop() == path


def test_a_refused_caller_hears_its_refusal(context):
    policy = "version: 1\npeers: [{name: simulated, simulated: true}]\n"
    with serving(context, policy=policy) as (port, heard), scratch() as folder:
        certificate = Names(folder).issue("caller")
        for method, body in (("GET", None), ("POST", challenge([SIMULATED]))):
            with Caller(port, certificate=certificate) as caller:
                answer = caller.ask(method, PATH, body, CBOR)
                assert (answer.status, error(answer)) == (403, "evidence.missing")
        assert heard == []


def test_http2_has_it_too(context):
    with serving(context) as (port, heard), H2Client(port) as two:
        fields = [("content-type", "application/cbor")]
        body = challenge([SIMULATED])
        status, head, got = two.answer(two.request(PATH, "POST", body, fields))
        assert (status, head["content-type"]) == (200, "application/cbor") and is_evidence(got)
        status, _, got = two.answer(two.request(PATH, "POST", b"x" * (LIMIT + 1), fields))
        assert status == 413
        status, head, got = two.answer(two.request(PATH, "GET"))
        assert status == 200 and list(cbor2.loads(got)) == [f"{SIMULATED}.0"]
        assert two.answer(two.request("/a"))[2] == b"hi" and heard == ["/a"]


@contextlib.contextmanager
def stopped(one):
    """The TPM says nothing meanwhile."""
    one.tpm.child.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        one.tpm.child.send_signal(signal.SIGCONT)


def test_one_challenge_at_a_time_on_a_connection(context):
    with server(context) as one, H2Client(one.port) as two:
        context.backend.handler = lambda peer: (
            peer.request(), peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"))
        fields = [("content-type", "application/cbor")]
        with stopped(one):
            first = two.request(PATH, "POST", challenge(), fields)
            status, head, body = two.answer(two.request(PATH, "POST", challenge(), fields))
            assert status == 429 and head["retry-after"] == "1", body
            assert json.loads(body)["error"]["code"] == "wellknown.busy"
            # The connection goes on meanwhile.
            assert two.answer(two.request("/a"))[2] == b"hi"
            # Who gives up a challenge may send another.
            two.connection.reset_stream(first)
            two.flush()
            assert two.answer(two.request("/b"))[2] == b"hi"
            second = two.request(PATH, "POST", challenge(), fields)
        status, _, body = two.answer(second)
        assert status == 200 and is_evidence(body)


def test_a_quote_that_hangs_is_a_503_and_the_connection_goes_on(context):
    with server(context) as one, Caller(one.port) as caller:
        pins = one.pins()
        with stopped(one):
            answer = caller.post(challenge())
            assert (answer.status, error(answer)) == (503, "attester.hung"), answer.content
            assert answer.getheader("retry-after") == "5"
        asked = challenge()
        body = caller.post(asked).content
        # What had no answer did not count.
        client.check(body, asked, 0, caller.secret, caller.spki, pins)


def test_callers_that_leave_are_not_waited_for(context):
    with server(context) as one:
        with stopped(one):
            for _ in range(20):
                with Caller(one.port) as caller:
                    caller.web.request("POST", PATH, challenge(), CBOR)
        with Caller(one.port) as caller:
            assert caller.post(challenge()).status == 200
        assert one.process.running()


def test_a_quote_that_fails_is_a_503_and_no_more(context):
    with server(context) as one, Caller(one.port) as caller:
        one.tpm.stop(signal.SIGKILL)
        answer = caller.post(challenge())
        assert answer.status == 503 and answer.getheader("retry-after") == "5", answer.content
        # Where the TPM is, and how it failed, is for the log.
        assert b"swtpm" not in answer.content and one.folder.name.encode() not in answer.content
        context.backend.handler = lambda peer: (
            peer.request(), peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"))
        assert caller.ask("GET", "/a").content == b"hi"


def test_the_proxy_has_it_on_attested_listeners_alone(context):
    heard = []

    def noting(name):
        def handler(peer):
            while True:
                heard.append(peer.request().target)
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

        return handler

    with scratch() as folder, backends("a", handler=noting) as (a,):
        (pathlib.Path(folder) / "callers.yaml").write_text(ANONYMOUS)
        chain, key = Names(folder).issue("web.example")
        attested = listener("attested", "attested", policy="callers.yaml")
        plain = listener("plain")
        web = listener("web", "tls", certificate=chain, key=key)
        document = {"attestation": {"attester": "simulated"}, "listeners": [attested, plain, web],
                    "backends": [entry(a)], "routes": [route("all", ["a"])]}
        with proxy(context, document, folder=folder):
            with Caller(port_of(attested)) as caller:
                assert is_evidence(caller.post(challenge([SIMULATED])).content)
                assert caller.ask("GET").status == 200
                assert caller.ask("GET", "/a").content == b"hi"
            with Caller(port_of(web)) as caller:
                answer = caller.post(challenge([SIMULATED]))
                assert (answer.status, error(answer)) == (404, "wellknown.unattested")
            with Client(port_of(plain)) as caller:
                caller.send(f"GET {PATH} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
                assert caller.answer().status == 404
    assert "/a" in heard and not any("well-known" in target for target in heard), heard
