"""Servers of other systems: admitted with the right root, refused with Evidence of another key."""

import base64
import contextlib
import json
import pathlib
import ssl
import subprocess
import sys

import platforms
from harness import Process, free_port, listening, scratch, wait_until
from test_platforms import machine as mounted
from test_platforms import serving
from wire import get

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "Support"))

import dialects  # noqa: E402
from minting.pki import cbor  # noqa: E402


class Showing:
    """A minted platform, what a caller needs to appraise it, and a policy on it."""

    def __init__(self, folder, platform, tier="static"):
        self.platform, self.vendor = platform, platform.vendor
        self.folder = pathlib.Path(folder)
        self.collateral = self.folder / "collateral"
        self.collateral.mkdir()
        if platform.write:
            platform.write(self.collateral)
        self.static = platform.policy(self.folder, tier="static")
        self.session = platform.policy(self.folder)
        self.root = self.folder / "root.pem"

    @property
    def arguments(self):
        return ["--collateral", self.collateral]


def tdx(folder):
    """A trust domain whose RTMR3 is what the events of the stand-ins leave."""
    platform = platforms.tdx(4)
    platform.section["rtmr"]["3"] = [dialects.register().hex()]
    machine = Showing(folder, platform)
    machine.quote = lambda data: platform.vendor.tdx(data, rtmr3=dialects.register())
    return machine


def verify(context, subject, *words, machine=None):
    command = [context.ratel, "verify", str(subject), "--json", *map(str, words)]
    if machine:
        command += map(str, machine.arguments)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    try:
        return done.returncode, json.loads(done.stdout)
    except json.JSONDecodeError:
        raise AssertionError(f"{subject}: {done.stdout}{done.stderr}") from None


@contextlib.contextmanager
def connecting(context, folder, port, policy, machine):
    """`ratel connect` to a server; answers its port and its log."""
    listen = free_port()
    command = [context.ratel, "connect", f"127.0.0.1:{port}", "--policy", policy, "--listen",
               f"127.0.0.1:{listen}", *machine.arguments]
    with Process(f"connect-{listen}", command, folder) as process:
        process.wait_for_port(listen)
        yield listen, process


def certificates(machine):
    """Each dialect of certificates over TDX, by the name that Ratel gives it."""
    return [
        ("id-pe-cmw", dialects.cmw_cbor("tdx", machine.quote)),
        ("id-pe-cmw", dialects.cmw_json("tdx", machine.quote)),
        ("ccc-interoperable", dialects.ccc(machine.quote)),
        ("gramine-legacy", dialects.gramine(machine.quote)),
        ("dstack-versioned", dialects.dstack_v0(machine.quote)),
        ("dstack-versioned", dialects.dstack_v1(machine.quote)),
        ("dstack", dialects.dstack_older(machine.quote)),
    ]


def test_every_certificate_is_admitted_and_no_copy(context):
    with scratch() as folder:
        machine = tdx(folder)
        for name, extensions in certificates(machine):
            good = dialects.Leaf(extensions)
            with dialects.web_server(folder, good) as (port, heard):
                subject = f"https://127.0.0.1:{port}"
                status, said = verify(
                    context, subject, "--policy", machine.static, machine=machine)
                assert status == 0 and said["admitted"], (name, said)
                assert (said["dialect"], said["tier"]) == (name, "static"), said
                # Host and port without a scheme are the same.
                status, said = verify(
                    context, f"127.0.0.1:{port}", "--authenticity-only", "--root", machine.root,
                    machine=machine)
                assert status == 0 and said["dialect"] == name, said
                # Without the root it is nobody's.
                status, said = verify(
                    context, subject, "--authenticity-only", machine=machine)
                assert status == 1 and said["code"] == "dcap.chain.root", said
                # Evidence over a key is not what a policy means that says nothing.
                status, said = verify(
                    context, subject, "--policy", machine.session, machine=machine)
                assert status == 1 and said["code"] == "policy.tier.mismatch", said
                assert heard == [], heard
            stolen = dialects.Leaf(extensions, about=good.key)
            with dialects.web_server(folder, stolen) as (port, _):
                status, said = verify(
                    context, f"https://127.0.0.1:{port}", "--policy", machine.static,
                    machine=machine)
                assert status == 1 and said["stage"] == "binding", (name, said)


def test_reports_and_documents_in_certificates(context):
    with scratch() as folder:
        nitro = platforms.nitro_enclave()
        machine = Showing(folder, nitro)
        leaf = dialects.Leaf(dialects.cmw_cbor("nitro", lambda data: nitro.vendor.document(data)))
        with dialects.web_server(folder, leaf) as (port, _):
            status, said = verify(
                context, f"https://127.0.0.1:{port}", "--policy", machine.static, machine=machine)
            assert status == 0 and said["dialect"] == "id-pe-cmw", said
    with scratch() as folder:
        snp = platforms.snp("Genoa", source="folder")
        machine = Showing(folder, snp)
        leaf = dialects.Leaf(dialects.cmw_json(
            "snp", lambda data: cbor({1: snp.vendor.report(data, vmpl=2, **platforms.WEAK)})))
        with dialects.web_server(folder, leaf) as (port, _):
            status, said = verify(
                context, f"https://127.0.0.1:{port}", "--policy", machine.static, machine=machine)
            assert status == 0 and said["evidence"][0]["format"] == "snp", said


def test_a_changed_event_log_is_refused(context):
    with scratch() as folder:
        machine = tdx(folder)
        other = [("app-id", b"\1\3"), *dialects.EVENTS[1:]]
        for make in (dialects.dstack_v0, dialects.dstack_v1, dialects.dstack_older):
            leaf = dialects.Leaf(make(machine.quote, other))
            with dialects.web_server(folder, leaf) as (port, _):
                status, said = verify(
                    context, f"https://127.0.0.1:{port}", "--policy", machine.static,
                    machine=machine)
                assert status == 1 and said["code"] == "dstack.event_log.register", said


def test_ratels_own_certificate_of_each_platform(context):
    """What `ratel serve` presents, read as another system's would be, in both of its forms."""
    both = "id-pe-cmw, ccc-interoperable"
    for platform in (platforms.tdx(4), platforms.sgx(), platforms.snp(), platforms.nitro_enclave()):
        with mounted(platform) as (folder, devices, arguments):
            policy = platform.policy(folder, tier="static")
            beside = folder / "beside"
            beside.mkdir()
            if platform.attester != "nitro":
                platform.vendor.write(beside, *["SGX"] * (platform.attester == "sgx"))
            with serving(context, folder, devices, platform.attester, arguments) as port:
                status, said = verify(
                    context, f"https://127.0.0.1:{port}", "--authenticity-only", "--root",
                    folder / "root.pem", "--collateral", beside)
                assert status == 0 and said["dialect"] == both, (platform.name, said)
                assert said["tier"] == "static"
                pem = ssl.get_server_certificate(("127.0.0.1", port))
            # The same as a file, under a policy.
            (beside / "cert.pem").write_text(pem)
            status, said = verify(context, beside, "--policy", policy, "--any-nonce")
            assert status == 0 and said["tier"] == "static", (platform.name, said)


def test_ratels_own_certificate_of_a_tpm(context):
    if context.stack.simulated:
        return
    port = context.stack.serve_port
    status, said = verify(context, f"https://127.0.0.1:{port}", "--authenticity-only")
    assert status == 1 and said["code"] == "tpm.ak.untrusted", said
    with scratch() as path:
        folder = pathlib.Path(path)
        file, policy = folder / "cert.pem", folder / "static.yaml"
        file.write_text(ssl.get_server_certificate(("127.0.0.1", port)))
        text = context.stack.policy()
        policy.write_text(text.replace("tier: session", "tier: static"))
        status, said = verify(context, file, "--policy", policy, "--any-nonce")
        assert status == 0 and said["tier"] == "static", said
        policy.write_text(text)
        status, said = verify(context, file, "--policy", policy, "--any-nonce")
        assert status == 1 and said["code"] == "policy.tier.mismatch", said


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


def test_connect_admits_by_certificate_where_the_policy_says_so(context):
    with scratch() as folder:
        machine = tdx(folder)
        good = dialects.Leaf(dialects.dstack_v1(machine.quote))
        stolen = dialects.Leaf(dialects.dstack_v1(machine.quote), about=good.key)
        plain = dialects.Leaf()
        for alpn in (None, ["http/1.1"]):
            with dialects.web_server(folder, good, alpn=alpn) as (port, heard):
                with connecting(context, folder, port, machine.static, machine) as (at, log):
                    answer = get(at)
                    assert (answer.status, answer.body) == (200, b"hello"), answer.body
                    assert "dialect=dstack-versioned" in log.text(), log.text()
                    assert "tier=static" in log.text(), log.text()
                heard.clear()
                with connecting(context, folder, port, machine.session, machine) as (at, log):
                    answer = get(at)
                    error = json.loads(answer.body)["error"]
                    assert answer.status == 502 and error["code"] == "policy.tier.mismatch", error
                    assert heard == [], heard
        for leaf, code in ((stolen, "certificate.binding.key"),
                           (plain, "certificate.evidence.none")):
            with dialects.web_server(folder, leaf) as (port, heard):
                with connecting(context, folder, port, machine.static, machine) as (at, _):
                    answer = get(at)
                    error = json.loads(answer.body)["error"]
                    assert answer.status == 502 and error["code"] == code, error
                    assert heard == [], heard


def test_connect_refuses_another_measurement(context):
    with scratch() as folder:
        machine = tdx(folder)
        wrong = machine.platform.policy(machine.folder, "mrtd", ["fe" * 48], tier="static")
        leaf = dialects.Leaf(dialects.ccc(machine.quote))
        with dialects.web_server(folder, leaf) as (port, heard):
            with connecting(context, folder, port, wrong, machine) as (at, _):
                answer = get(at)
                error = json.loads(answer.body)["error"]
                assert answer.status == 502 and error["code"] == "dcap.tdx.mrtd", error
                assert heard == [], heard
