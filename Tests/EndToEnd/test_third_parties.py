"""The documented client in Python, an independent second implementation, and what it refuses."""

import concurrent.futures
import contextlib
import json
import os
import socket
import ssl
import subprocess
import threading

import cbor2
from backend import answer
from harness import scratch
from proxied import Names
from third_party import PATH, ROOT, Caller, challenge, server, verify_session

import verify_session as client  # noqa: E402, I001

CHAT = b'{"choices": [{"message": {"content": "served"}}]}'


@contextlib.contextmanager
def heard(context):
    """Answers chats, and notes what reached the backend."""
    targets = []

    def handler(connection):
        while True:
            targets.append(connection.request().target)
            connection.send(answer(CHAT))

    context.backend.handler = handler
    yield targets


def test_it_admits_a_genuine_server_and_is_served(context):
    with server(context) as one, heard(context) as targets:
        done = verify_session(one.port, one.save(one.pins()))
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("ADMITTED {") and "served" in done.stdout, done.stdout
        assert targets == ["/v1/chat/completions"], targets


def test_many_at_once_are_each_admitted(context):
    """Those that wait for one quote may share the next, by a Merkle path of their own."""
    with server(context) as one, heard(context) as targets:
        pins = one.pins()

        def run(_):
            with Caller(one.port) as caller:
                asked = challenge()
                body = caller.post(asked).content
                client.check(body, asked, 0, caller.secret, caller.spki, pins)

        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            list(pool.map(run, range(48)))
        assert targets == []


def refused(one, pins, why, targets):
    done = verify_session(one.port, one.save(pins))
    assert done.returncode == 1 and why in done.stderr, done.stderr
    assert targets == [] and "ADMITTED" not in done.stdout


def test_it_refuses_other_pins(context):
    with server(context) as one, heard(context) as targets:
        pins = one.pins()
        pcrs = {**pins["pcrs"], "4": "ab" * 32}
        refused(one, {**pins, "pcrs": pcrs}, "PCR 4 is", targets)
        # A register that nobody quotes is not one that holds what is pinned.
        refused(one, {**pins, "pcrs": {**pins["pcrs"], "23": "00" * 32}}, "PCR 23 is", targets)
        refused(one, {**pins, "pcrs": {}}, "no register is pinned", targets)
        refused(one, {**pins, "ak": "000b" + "ab" * 32}, "another attestation key", targets)
        configuration = {"access_log": ["metadata"]}
        refused(one, {**pins, "configuration": configuration}, "the configuration", targets)
        assert verify_session(one.port, one.save(pins)).returncode == 0


def test_it_refuses_a_machine_that_booted_something_else(context):
    with server(context) as one, heard(context) as targets:
        pins = one.pins()
        extend = ["tpm2_pcrextend", "-T", one.tpm.tcti, f"4:sha256={'ab' * 32}"]
        subprocess.run(extend, check=True, capture_output=True)
        refused(one, pins, "PCR 4 is", targets)


@contextlib.contextmanager
def middle(port, certificate):
    """A man in the middle: TLS of its own towards the caller, and every byte passed on."""
    listener = socket.create_server(("127.0.0.1", 0))
    front = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    front.load_cert_chain(*certificate)
    back = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    back.check_hostname, back.verify_mode = False, ssl.CERT_NONE
    passed = []

    def pump(source, sink):
        with contextlib.suppress(OSError, ValueError):
            while data := source.recv(65536):
                passed.append(data)
                sink.sendall(data)
            sink.close()

    def run():
        with contextlib.suppress(OSError):
            while True:
                near = front.wrap_socket(listener.accept()[0], server_side=True)
                far = back.wrap_socket(socket.create_connection(("127.0.0.1", port)))
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=pump, args=pair, daemon=True).start()

    threading.Thread(target=run, daemon=True).start()
    try:
        yield listener.getsockname()[1], passed
    finally:
        listener.close()


def relayed(one, certificate, targets):
    """The genuine server's Evidence, through a man in the middle, is refused."""
    pins = one.save(one.pins())
    with middle(one.port, certificate) as (port, passed):
        done = verify_session(port, pins)
        # It did get Evidence, and that of the genuine server.
        assert any(b"200 OK" in data for data in passed), passed
        assert done.returncode == 1 and "InvalidSignature" in done.stderr, done.stderr
        assert targets == []
    assert verify_session(one.port, pins).returncode == 0


def test_it_refuses_a_relay_with_a_certificate_of_its_own(context):
    with server(context) as one, heard(context) as targets:
        relayed(one, Names(one.folder).issue("thief"), targets)


def test_it_refuses_a_relay_with_the_servers_stolen_key(context):
    with heard(context) as targets, contextlib.ExitStack() as stack:
        chain, key = Names(stack.enter_context(scratch())).issue("server")
        given = ("--tls-certificate", chain, "--tls-key", key)
        one = stack.enter_context(server(context, *given))
        relayed(one, (chain, key), targets)


def evidence(caller):
    """A challenge, and the fields of its answer."""
    asked = challenge()
    got = caller.post(asked)
    assert got.status == 200, got.content
    return asked, got.content


def test_it_refuses_evidence_of_another_connection_or_challenge(context):
    with server(context) as one, Caller(one.port) as first, Caller(one.port) as second:
        pins = one.pins()
        asked, body = evidence(first)
        client.check(body, asked, 0, first.secret, first.spki, pins)
        for challenged, sequence, caller in (
            (asked, 0, second), (asked, 1, first), (challenge(), 0, first),
            # The kinds are part of what was asked.
            (asked.replace(b"\2\x81\3", b"\2\x82\3\2"), 0, first),
        ):
            stops(body, challenged, sequence, caller, pins)
        # Also after what came before on the same connection.
        again, later = evidence(first)
        client.check(later, again, 1, first.secret, first.spki, pins)
        stops(body, again, 1, first, pins)
        stops(later, again, 0, first, pins)


def stops(body, asked, sequence, caller, pins):
    try:
        client.check(body, asked, sequence, caller.secret, caller.spki, pins)
    except Exception:
        return
    raise AssertionError("Evidence was believed that is not this connection's")


def test_it_refuses_what_was_altered(context):
    with server(context) as one, Caller(one.port) as caller:
        pins = one.pins()
        asked, body = evidence(caller)
        client.check(body, asked, 0, caller.secret, caller.spki, pins)
        assert b'"access_log":"off"' in body
        altered = [
            body.replace(b'"access_log":"off"', b'"access_log":"of "'),
            body.replace(b'"backend":"loopback"', b'"backend":"loopbacc"'),
        ]
        # A bit of each part that says something; media types and Endorsements are not believed.
        for field in (1, 3, 6, 8):
            size = len(cbor2.loads(body)[field])
            altered += [flipped(body, field, at) for at in range(0, size, 31)]
        size = len(cbor2.loads(body)[2]["3.0"][1])
        altered += [flipped(body, 2, at) for at in range(0, size, 97)]
        # A neighbour that is not there, on either side.
        for sides in (0, 1):
            altered.append(cbor2.dumps(
                {**cbor2.loads(body), 4: [bytes(48)], 5: sides}, canonical=True))
        for changed in altered:
            assert changed != body
            stops(changed, asked, 0, caller, pins)


def flipped(body, field, at):
    """The body with one bit of a field, or of the TPM's Evidence, turned over."""
    fields = cbor2.loads(body)
    value = fields[2]["3.0"][1] if field == 2 else fields[field]
    value = value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]
    if field == 2:
        fields[2]["3.0"][1] = value
    else:
        fields[field] = value
    return cbor2.dumps(fields, canonical=True)


def test_its_formulas_are_those_of_the_vectors(context):
    places = [ROOT / "Tests/Vectors/binding.json"]
    design = ROOT.parent / "shared/design/protocol-vectors.json"
    if design.exists():
        places.append(design)
    else:
        print(f"    skipped: {design} is absent")
    for place in places:
        cases = json.loads(place.read_text())["cases"]
        assert len(cases) >= 4
        for case in cases:
            follows(case)


def follows(case):
    pieces = [(piece["kind"], piece["index"], bytes.fromhex(piece["evidence"]))
              for piece in case["sub_evidence"]]
    manifest = client.manifest_of(pieces)
    assert manifest.hex() == case["manifest"]
    key = bytes.fromhex(case["binding_key_spki_sha256"])
    for one in case["connections"]:
        c = client.sha(256, client.tagged(b"challenge"), bytes.fromhex(one["challenge_body"]))
        assert c.hex() == one["C"]
        names = ("spki_sha256", "peer_spki_sha256", "C", "n_att", "ekm", "config_sha384")
        base = client.base_of(
            one["role"], one["seq"], *(bytes.fromhex(one[name]) for name in names))
        assert base.hex() == one["base"]
        path = [bytes.fromhex(other) for other in one["path"]]
        root = client.root_of(base, path, one["sides"], key)
        assert root.hex() == case["root"]
        if path:
            flipped = client.root_of(base, path, one["sides"] ^ 1, key)
            assert flipped != root
        for wide in (1 << len(path), 1 << 16):
            try:
                client.root_of(base, path, one["sides"] | wide, key)
            except ValueError:
                continue
            raise AssertionError("a side without a neighbour was taken")
        text = client.tagged(b"evidence") + base + client.sha(384, manifest)
        assert text.hex() == one["evidence_tbs"]
    assert client.sha(256, client.tagged(b"tpm"), bytes.fromhex(case["root"])).hex() == case["tpm"]


def test_the_documentation_shows_the_client_as_it_is(context):
    page = (ROOT / "Sources/Ratel/Ratel.docc/ThirdParties.md").read_text()
    code = (ROOT / "Examples/verify_session.py").read_text()
    assert code in page, "ThirdParties.md has another verify_session.py"
    assert PATH in page and os.path.exists(ROOT / "Examples/tls_exporter.py")
