"""Servers of other systems: admitted with the right root, refused with Evidence of another key."""

import json
import pathlib
import ssl

import platforms
from foreign import Showing, connecting, dialects, tdx, verify
from harness import scratch
from minting.pki import cbor
from test_platforms import machine as mounted
from test_platforms import serving
from wire import get


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
