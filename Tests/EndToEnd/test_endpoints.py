"""What other systems' servers say at an address, or after the handshake: of that connection."""

import base64
import json

import platforms
from foreign import Showing, connecting, dialects, tdx, verify
from harness import free_port, listening, scratch, wait_until
from wire import get


def endpoints(machine):
    return [
        ("tinfoil-v2", dialects.tinfoil_v2("tdx", machine.quote)),
        ("tinfoil-v3", dialects.tinfoil_v3("tdx-quote", machine.quote)),
        ("near-phala-report", dialects.near(machine.quote)),
    ]


def test_endpoints_are_asked_over_the_same_connection(context):
    with scratch() as folder:
        machine = tdx(folder)
        for name, endpoint in endpoints(machine):
            leaf = dialects.Leaf()
            for alpn in (None, ["http/1.1"]):
                with dialects.web_server(folder, leaf, endpoint, alpn) as (port, _):
                    status, said = verify(
                        context, f"https://127.0.0.1:{port}", "--policy", machine.static,
                        machine=machine)
                    assert status == 0 and said["dialect"] == name, (name, said)
            with dialects.web_server(folder, leaf, endpoint) as (port, heard):
                status, said = verify(
                    context, f"127.0.0.1:{port}", "--policy", machine.session, machine=machine)
                assert status == 1 and said["code"] == "policy.tier.mismatch", said
                assert heard == [], heard
            # A relay has a key of its own, and forwards what the real server says.
            other = dialects.Leaf()
            with dialects.web_server(folder, other, endpoint, key=leaf.spki) as (port, _):
                status, said = verify(
                    context, f"https://127.0.0.1:{port}", "--policy", machine.static,
                    machine=machine)
                assert status == 1 and said["code"] == "endpoint.binding.key", (name, said)


def test_endpoints_with_another_nonce_or_shape_are_refused(context):
    def old_nonce(document):
        document["challenge"]["nonce"] = "00" * 32

    def other_algorithm(document):
        document["challenge"]["report_data_algorithm"] += "x"

    def other_format(document):
        document["format"] = document["format"].replace("v3", "v4")

    def devices(document):
        document["device_evidence"] = "eyJmb3JtYXQiOiJ4In0="

    def event(document):
        document["event_log"][0]["event_payload"] = "ff"

    def gpu(document):
        document["nvidia_payload"] = json.dumps({"nonce": "00" * 32, "evidence_list": []})

    with scratch() as folder:
        machine = tdx(folder)
        leaf = dialects.Leaf()
        cases = [
            (dialects.tinfoil_v3("tdx-quote", machine.quote, change=old_nonce), "endpoint.nonce"),
            (dialects.tinfoil_v3("tdx-quote", machine.quote, change=other_algorithm),
             "endpoint.malformed"),
            (dialects.tinfoil_v3("tdx-quote", machine.quote, change=other_format),
             "endpoint.malformed"),
            (dialects.tinfoil_v3("tdx-quote", machine.quote, change=devices),
             "endpoint.malformed"),
            (dialects.near(machine.quote, change=event), "dstack.event_log.register"),
            (dialects.near(machine.quote, change=gpu), "endpoint.nonce"),
            (dialects.near(lambda data: machine.quote(data[:32] + bytes(32))), "endpoint.nonce"),
            # It covers a key that signs answers, and nothing of this connection.
            (dialects.near(machine.quote, binds_key=False), "endpoint.binding.key"),
            (None, "server.evidence.none"),
        ]
        for endpoint, code in cases:
            with dialects.web_server(folder, leaf, endpoint) as (port, heard):
                status, said = verify(
                    context, f"https://127.0.0.1:{port}", "--policy", machine.static,
                    machine=machine)
                assert status == 1 and said["code"] == code, (code, said)
                assert heard, "nothing was asked"
        # Looked at without a policy, it says what is open.
        with dialects.web_server(folder, leaf, cases[7][0]) as (port, _):
            status, said = verify(
                context, f"https://127.0.0.1:{port}", "--authenticity-only", "--root",
                machine.root, machine=machine)
            assert status == 0 and said["tier"] == "none", said
            assert any("not the key of this connection" in text for text in said["not_checked"])


def test_tinfoil_on_amd_with_its_certificate_beside(context):
    with scratch() as folder:
        snp = platforms.snp("Genoa", source="folder")
        machine = Showing(folder, snp)
        (machine.collateral / "vcek.der").unlink()
        files = snp.vendor.files()
        beside = [{
            "id": "amd", "role": "endorsement", "subjects": ["cpu"],
            "format": dialects.TINFOIL + "collateral/amd-vcek/v1",
            "data": {"vcek_der_base64": base64.b64encode(files["vcek"]).decode(),
                     "cert_chain_pem": (snp.vendor.ask.pem + snp.vendor.ark.pem).decode()}}]

        def report(data):
            return snp.vendor.report(data, vmpl=2, **platforms.WEAK)

        leaf = dialects.Leaf()
        endpoint = dialects.tinfoil_v3("sev-snp-report", report, beside)
        with dialects.web_server(folder, leaf, endpoint) as (port, _):
            status, said = verify(
                context, f"https://127.0.0.1:{port}", "--policy", machine.static, machine=machine)
            assert status == 0 and said["evidence"][0]["format"] == "snp", said


def test_flashbots_is_bound_to_the_session(context):
    with scratch() as folder:
        machine = tdx(folder)

        def good(spki, _, exporter):
            data = dialects.sha256(spki) + exporter
            return dialects.flashbots_message("dcap-tdx", machine.quote(data))

        def bare(_, point, exporter):
            data = dialects.sha256(point) + exporter
            return dialects.flashbots_message("gcp-tdx", machine.quote(data))

        def other_exporter(spki, _, exporter):
            return good(spki, _, bytes([exporter[0] ^ 1]) + exporter[1:])

        def other_key(spki, _, exporter):
            return good(spki[:-1] + bytes([spki[-1] ^ 1]), _, exporter)

        def behind(spki, _, exporter):
            body = good(spki, _, exporter)[4:] + b"\0"
            return len(body).to_bytes(4, "big") + body

        def huge(*_):
            return b"\0\1\0\1" + bytes(65537)

        cases = [
            (good, "admitted"), (bare, "admitted"), (other_exporter, "session.binding"),
            (other_key, "session.binding"), (behind, "session.malformed"),
            (huge, "session.malformed"),
            (lambda *_: dialects.flashbots_message("none", b""), "session.evidence.none"),
            (lambda *_: dialects.flashbots_message("azure-tdx", b"x"), "session.evidence.unread"),
        ]
        for message, code in cases:
            port = free_port()
            with dialects.flashbots_server(folder, dialects.Leaf(), port, message):
                wait_until(lambda: listening(port), 10, "the server")
                # A policy that asks for a session is met by it.
                status, said = verify(
                    context, f"https://127.0.0.1:{port}", "--policy", machine.session,
                    machine=machine)
                assert said.get("code", "admitted") == code, (code, said)
                if code == "admitted":
                    assert (said["tier"], said["dialect"]) == ("session", "flashbots-ratls/1")


def test_connect_speaks_to_flashbots_proxy(context):
    with scratch() as folder:
        machine = tdx(folder)

        def good(spki, _, exporter):
            data = dialects.sha256(spki) + exporter
            return dialects.flashbots_message("dcap-tdx", machine.quote(data))

        def stale(spki, _, exporter):
            return good(spki, _, bytes(32))

        for message, wanted in ((good, None), (stale, "session.binding")):
            port = free_port()
            with dialects.flashbots_server(folder, dialects.Leaf(), port, message):
                wait_until(lambda: listening(port), 10, "the server")
                # The tier is session: the default is met.
                with connecting(context, folder, port, machine.session, machine) as (at, log):
                    answer = get(at)
                    if wanted:
                        error = json.loads(answer.body)["error"]
                        assert answer.status == 502 and error["code"] == wanted, error
                    else:
                        assert (answer.status, answer.body) == (200, b"hello"), answer.body
                        assert "dialect=flashbots-ratls/1" in log.text(), log.text()
                        assert "tier=session" in log.text(), log.text()
