"""Sidecar and caller over minted TDX, SNP, SGX and Nitro Evidence: admitted, refused by field."""

import concurrent.futures
import contextlib
import json
import pathlib
import subprocess

import platforms
from backend import hello
from devices import Devices
from harness import ANONYMOUS, Process, free_port, scratch, software_tpm
from wire import get


@contextlib.contextmanager
def machine(platform):
    """A folder with the platform's devices and, where it has any, its Endorsements."""
    with scratch() as path, contextlib.ExitStack() as stack:
        folder = pathlib.Path(path)
        devices = Devices(folder)
        stack.callback(devices.close)
        platform.mount(devices)
        arguments = []
        if platform.write:
            endorsements = folder / "endorsements"
            endorsements.mkdir()
            platform.write(endorsements)
            arguments = ["--endorsements", endorsements]
        yield folder, devices, arguments


@contextlib.contextmanager
def serving(context, folder, devices, attester, arguments):
    """A sidecar on that machine; answers its port."""
    port = free_port()
    policy = folder / "anonymous.yaml"
    policy.write_text(ANONYMOUS)
    command = [context.ratel, "serve", "--listen", f"127.0.0.1:{port}", "--admin", "off"]
    command += ["--backend", f"http://127.0.0.1:{context.backend.port}", "--policy", policy]
    command += ["--attester", attester, *arguments]
    with Process("serve", command, folder, devices.environment) as process:
        process.wait_for_port(port)
        yield port


def verify(context, port, policy):
    """The document that `ratel verify --json` prints, and the exit status."""
    command = [context.ratel, "verify", f"127.0.0.1:{port}", "--policy", str(policy), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    try:
        return done.returncode, json.loads(done.stdout)
    except json.JSONDecodeError:
        raise AssertionError(f"{policy}: {done.stdout}{done.stderr}") from None


def ask(context, folder, port, policy):
    """What an HTTP caller gets through `connect` under a policy."""
    listen = free_port()
    command = [context.ratel, "connect", f"127.0.0.1:{port}", "--policy", policy]
    command += ["--listen", f"127.0.0.1:{listen}"]
    with Process(f"connect-{listen}", command, folder) as process:
        process.wait_for_port(listen)
        return get(listen)


def refused_by_field(context, folder, port, platform):
    """Each field wrong, one at a time: the refusal has its code, and names the values."""

    def check(case):
        path, value, code, words = case
        status, document = verify(context, port, platform.policy(folder, path, value))
        said = json.dumps(document)
        if status != 1 or document["code"] != code:
            return f"{path}: expected {code}, got {status} {said}"
        missing = [word for word in words if word not in said]
        return f"{path}: {said} does not name {missing}" if missing else None

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        problems = [line for line in pool.map(check, platform.cases) if line]
    assert not problems, "\n".join(problems)
    print(f"    {platform.name}: {len(platform.cases)} wrong fields refused, each by its name")


def check_platform(context, platform):
    context.backend.handler = hello
    with machine(platform) as (folder, devices, arguments):
        with serving(context, folder, devices, platform.attester, arguments) as port:
            good = platform.policy(folder)
            status, document = verify(context, port, good)
            assert status == 0 and document["admitted"], document
            assert document["peer"] == platform.name
            answer = ask(context, folder, port, good)
            assert answer.status == 200 and answer.body == b"GET / 0", (answer.status, answer.body)
            refused_by_field(context, folder, port, platform)
            real = ask(context, folder, port, platform.policy(folder, "roots", None))
            code = next(case[2] for case in platform.cases if case[0] == "roots")
            assert real.status == 502 and code.encode() in real.body, (real.status, real.body)


def test_tdx_version_4(context):
    check_platform(context, platforms.tdx(4))


def test_tdx_version_5(context):
    check_platform(context, platforms.tdx(5))


def test_tdx_with_an_advisory(context):
    check_platform(context, platforms.tdx(4, "SWHardeningNeeded", ["INTEL-SA-00001"]))


def test_sgx(context):
    check_platform(context, platforms.sgx())


def test_snp_genoa_with_the_hosts_certificates(context):
    check_platform(context, platforms.snp("Genoa"))


def test_snp_turin_with_certificates_in_a_folder(context):
    check_platform(context, platforms.snp("Turin", source="folder"))


def test_snp_of_a_cloud_that_hides_its_chips(context):
    check_platform(context, platforms.snp("Genoa", provider="CN=cloud"))


def test_nitro(context):
    check_platform(context, platforms.nitro_enclave())


def test_what_else_a_policy_says_of_a_peer(context):
    """Kinds and counts, and the effective configuration."""
    platform = platforms.tdx(4)
    with machine(platform) as (folder, devices, arguments):
        with serving(context, folder, devices, "tdx", arguments) as port:
            backend = {"configuration": {"backend": ["loopback"]}}
            assert verify(context, port, platform.policy(folder, **backend))[0] == 0
            other = {"configuration": {"backend": ["network"]}}
            status, said = verify(context, port, platform.policy(folder, **other))
            assert (status, said["code"]) == (1, "configuration.value.refused"), said
            assert "network" in said["expected"] and "loopback" in said["got"], said
            # The same Evidence under a policy for another kind of machine.
            status, said = verify(context, port, platforms.sgx().policy(folder))
            assert (status, said["code"]) == (1, "evidence.kind.count"), said


def test_collateral_is_read_anew_for_each_quote(context):
    platform = platforms.tdx(4)
    with machine(platform) as (folder, devices, arguments):
        with serving(context, folder, devices, "tdx", arguments) as port:
            good = platform.policy(folder)
            assert verify(context, port, good)[0] == 0
            kept = (arguments[1] / "tcb_info.json").read_bytes()
            (arguments[1] / "tcb_info.json").unlink()
            status, said = verify(context, port, good)
            assert (status, said["code"]) == (1, "dcap.collateral.malformed"), said
            (arguments[1] / "tcb_info.json").write_bytes(kept)
            assert verify(context, port, good)[0] == 0


def test_a_revoked_key_is_refused(context):
    for platform, key, code in (
        (platforms.tdx(), "pck", "dcap.pck.chain"),
        (platforms.snp(source="folder"), "ask", "snp.revoked"),
    ):
        serial = getattr(platform.vendor, key).certificate.serial_number
        with machine(platform) as (folder, devices, arguments):
            with serving(context, folder, devices, platform.attester, arguments) as port:
                good = platform.policy(folder)
                assert verify(context, port, good)[0] == 0
                platform.vendor.write(arguments[1], revoked=[serial])
                status, said = verify(context, port, good)
                assert (status, said["code"]) == (1, code), said
                assert "revoked" in said["got"], said


def test_a_trust_domain_and_its_tpm(context):
    """Two roots of trust in one: the quote covers the TPM's Evidence, and policy wants both."""
    platform = platforms.tdx(4)
    with machine(platform) as (folder, devices, arguments), software_tpm(folder) as tpm:
        both = [*arguments, "--tcti", tpm.tcti]
        with serving(context, folder, devices, "tpm,tdx", both) as port:
            init = [context.ratel, "policy", "init", f"127.0.0.1:{port}"]
            done = subprocess.run(init, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stderr
            pem = folder / "root.pem"
            pem.write_bytes(platform.root.pem)
            text = done.stdout.replace("    tdx:\n", f"    tdx:\n      roots: [{pem}]\n")
            text = text.replace("attributes: []", "attributes: [pks]")
            policy = folder / "both.yaml"
            policy.write_text(text)
            status, document = verify(context, port, policy)
            assert status == 0, document
            assert sorted(item["format"] for item in document["evidence"]) == ["tdx", "tpm"]
            policy.write_text(text.replace(platforms.intel.TD["rtmr2"].hex(), "ab" * 48))
            assert verify(context, port, policy)[1]["code"] == "dcap.tdx.rtmr2"
            # A policy for one of them: the other is not to be slipped in.
            assert verify(context, port, platform.policy(folder))[0] == 1
