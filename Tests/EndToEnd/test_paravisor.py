"""Sidecar and caller over the vTPM of an Azure confidential VM, which is a software TPM here.

It holds what the paravisor leaves there, under a minted SEV-SNP report or TDX quote.
"""

import contextlib
import copy
import json
import pathlib
import subprocess

import platforms
from harness import scratch, software_tpm
from minting import paravisor
from minting.intel import TD, td_report
from test_platforms import serving, verify

ANY = {
    "pcrs": {"bank": "sha256", "values": {str(index): "any" for index in range(8)}},
    "reset_count": "any", "restart_count": "any", "firmware": "any", "clock": "any",
    "event_log": "any"}


class NoDevices:
    environment = {}


def policy(folder, platform, hardware, **changes):
    section = copy.deepcopy(platform.section)
    (folder / "root.pem").write_bytes(platform.root.pem)
    product = next(iter(section.get("products", {})), None)
    section["roots"] = {product: ["root.pem"]} if product else ["root.pem"]
    section |= changes
    peer = {"name": "azure", "require": {"tpm": 1}, "tpm": ANY | {"hcl": {hardware: section}}}
    file = folder / f"policy-{abs(hash(str(changes)))}.yaml"
    file.write_text(json.dumps({"version": 1, "peers": [peer]}))
    return file


def snp_report(vendor):
    return lambda data: vendor.report(data, vmpl=0, **platforms.WEAK)


def tdreport(data):
    """TDREPORT_STRUCT: REPORTMACSTRUCT, TEE_TCB_INFO, then TDINFO, the quote's body from there."""
    information = td_report(data)[120:-64]
    return bytes(128) + data + bytes(64) + bytes(256) + information.ljust(512, b"\0")


@contextlib.contextmanager
def machine(platform, kind, hardware, certificate=None):
    """A folder with Endorsements, and a TPM with what the paravisor leaves in it."""
    with scratch() as path, software_tpm(path) as tpm:
        folder = pathlib.Path(path)
        key = paravisor.attestation_key(tpm.tcti, folder)
        content = paravisor.report(kind, hardware, paravisor.runtime_data(key))
        paravisor.install(tpm.tcti, folder, content)
        endorsements = folder / "endorsements"
        endorsements.mkdir()
        platform.vendor.write(endorsements)
        yield folder, tpm, ["--endorsements", endorsements, "--tcti", tpm.tcti]


def test_a_machine_under_snp_is_admitted_and_refused_by_what_its_hardware_says(context):
    platform = platforms.snp(source="folder")
    platform.section["vmpl"] = [0]
    hardware = snp_report(platform.vendor)
    with machine(platform, paravisor.SNP, hardware) as (folder, tpm, arguments):
        with serving(context, folder, NoDevices, "tpm", arguments) as port:
            status, said = verify(context, port, policy(folder, platform, "snp"))
            assert status == 0, said
            claims = said["evidence"][0]["claims"]
            assert claims["hcl"]["report_type"] == "snp", claims
            wrong = policy(folder, platform, "snp", measurement=["fe" * 48])
            status, said = verify(context, port, wrong)
            assert (status, said["code"]) == (1, "snp.measurement"), said
            # AMD's own root: what was minted here does not lead to it.
            real = policy(folder, platform, "snp")
            document = json.loads(real.read_text())
            del document["peers"][0]["tpm"]["hcl"]["snp"]["roots"]
            real.write_text(json.dumps(document))
            status, said = verify(context, port, real)
            assert (status, said["code"]) == (1, "snp.root.unknown"), said


def test_the_doctor_sees_the_paravisor(context):
    platform = platforms.snp(source="folder")
    with machine(platform, paravisor.SNP, snp_report(platform.vendor)) as (_, tpm, _):
        done = subprocess.run(
            [context.ratel, "doctor", "--tcti", tpm.tcti], capture_output=True, text=True,
            timeout=60)
        said = " ".join(done.stdout.split())
        assert "vouched for by Azure's paravisor" in said, said + done.stderr


def test_a_report_of_another_key_is_refused(context):
    platform = platforms.snp(source="folder")
    platform.section["vmpl"] = [0]
    with scratch() as other, software_tpm(other) as stranger:
        key = paravisor.attestation_key(stranger.tcti, other)
    with scratch() as path, software_tpm(path) as tpm:
        folder = pathlib.Path(path)
        paravisor.attestation_key(tpm.tcti, folder)
        content = paravisor.report(
            paravisor.SNP, snp_report(platform.vendor), paravisor.runtime_data(key))
        paravisor.install(tpm.tcti, folder, content)
        endorsements = folder / "endorsements"
        endorsements.mkdir()
        platform.vendor.write(endorsements)
        arguments = ["--endorsements", endorsements, "--tcti", tpm.tcti]
        with serving(context, folder, NoDevices, "tpm", arguments) as port:
            status, said = verify(context, port, policy(folder, platform, "snp"))
            assert (status, said["code"]) == (1, "tpm.hcl.key"), said


def test_a_machine_under_tdx_has_its_quote_made_once(context):
    platform = platforms.tdx()
    vendor = platform.vendor
    service = paravisor.MetadataService(lambda report: vendor.tdx(report[128:192]))
    platform.section["attributes"] = []
    with contextlib.closing(service):
        with machine(platform, paravisor.TDX, tdreport) as (folder, _, arguments):
            arguments += ["--metadata-service", service.address]
            with serving(context, folder, NoDevices, "tpm", arguments) as port:
                good = policy(folder, platform, "tdx")
                for _ in range(2):
                    status, said = verify(context, port, good)
                    assert status == 0, said
                assert service.asked == 1
                wrong = policy(folder, platform, "tdx", rtmr={
                    str(index): ["fe" * 48 if index == 2 else TD[f"rtmr{index}"].hex()]
                    for index in range(4)})
                status, said = verify(context, port, wrong)
                assert (status, said["code"]) == (1, "dcap.tdx.rtmr2"), said


def test_a_service_that_makes_no_quote_is_named(context):
    service = paravisor.MetadataService(lambda report: b"")
    platform = platforms.tdx()
    with contextlib.closing(service):
        with machine(platform, paravisor.TDX, tdreport) as (_, _, arguments):
            command = [context.ratel, "attest", "--attester", "tpm", "--json", *arguments]
            command += ["--metadata-service"]
            cases = [
                ((500, b"no"), service.address, "tdx.metadata_service"),
                ((200, b"{}"), service.address, "tdx.metadata_service"),
                ((200, b"x" * 100_000), service.address, "tdx.unavailable"),
                (None, "127.0.0.1:1", "tdx.unavailable"), (None, "nowhere", "tdx.unavailable")]
            for answer, address, code in cases:
                service.answer = answer
                done = subprocess.run(
                    [str(word) for word in [*command, address]], capture_output=True, text=True,
                    timeout=60)
                assert done.returncode == 1, done.stdout + done.stderr
                assert json.loads(done.stdout)["code"] == code, done.stdout
