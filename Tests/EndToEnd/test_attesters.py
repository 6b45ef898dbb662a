"""Attesters against interfaces that are busy, interrupted, shared, empty, wrong or away."""

import contextlib
import errno
import json
import subprocess
import time

from platforms import nitro_enclave, sgx, snp, tdx
from devices import NSM, TSM, Devices, QuotingService, TDXGuest
from harness import scratch


@contextlib.contextmanager
def interfaces(*platforms):
    with scratch() as path, contextlib.ExitStack() as stack:
        devices = Devices(path)
        stack.callback(devices.close)
        for platform in platforms:
            platform.mount(devices)
        yield devices


def run(context, devices, *words):
    done = subprocess.run(
        [context.ratel, *map(str, words)], capture_output=True, text=True, timeout=60,
        env={"PATH": "/usr/bin:/bin", **devices.environment})
    return done.returncode, done.stdout + done.stderr


def attest(context, devices, attester, *words):
    return run(context, devices, "attest", "--attester", attester, "--json", *words)


def code(result):
    status, said = result
    assert status == 1, said
    return json.loads(said)["code"]


def test_a_busy_or_interrupted_interface_is_asked_again(context):
    with interfaces(tdx()) as devices:
        tsm = devices.mounted["tsm"]
        tsm.busy, tsm.interrupted = 3, 2
        assert attest(context, devices, "tdx")[0] == 0
        assert (tsm.busy, tsm.interrupted) == (0, 0)
        tsm.busy = 10_000
        began = time.monotonic()
        assert code(attest(context, devices, "tdx")) == "tdx.unavailable"
        assert 4 < time.monotonic() - began < 9


def test_another_writer_spoils_a_report_and_it_is_made_again(context):
    with interfaces(tdx()) as devices:
        tsm = devices.mounted["tsm"]
        tsm.conflicts = 4
        assert attest(context, devices, "tdx")[0] == 0
        tsm.conflicts = 5
        assert code(attest(context, devices, "tdx")) == "tdx.tsm.generation"
        tsm.heal()
        # The kernel says nothing of a write that it dropped when the file was closed.
        tsm.lost = 10_000
        assert code(attest(context, devices, "tdx")) == "tdx.unavailable"


def test_a_report_over_other_bytes_is_refused_here(context):
    with interfaces(tdx(), snp(), sgx()) as devices:
        other = lambda make: lambda data, **level: make(b"\xee" * 64, **level)  # noqa: E731
        for attester, place in (("snp", "tsm"), ("sgx", "attestation")):
            device = devices.mounted[place]
            device.make = other(device.make)
            assert code(attest(context, devices, attester)) == f"{attester}.report_data.other"
    with interfaces(tdx()) as devices:
        tsm = devices.mounted["tsm"]
        tsm.make = other(tsm.make)
        assert code(attest(context, devices, "tdx")) == "tdx.report_data.other"


def test_an_empty_report_is_an_error(context):
    for platform in (tdx(), snp()):
        with interfaces(platform) as devices:
            devices.mounted["tsm"].empty = True
            found = code(attest(context, devices, platform.attester))
            assert found == f"{platform.attester}.tsm.outblob", found


def test_another_provider_is_refused(context):
    with interfaces(tdx()) as devices:
        assert code(attest(context, devices, "snp")) == "snp.tsm.provider"
    with interfaces(snp()) as devices:
        assert code(attest(context, devices, "tdx")) == "tdx.tsm.provider"


def test_entries_are_removed_however_it_ended(context):
    with interfaces(tdx()) as devices:
        tsm = devices.mounted["tsm"]
        assert attest(context, devices, "tdx")[0] == 0
        tsm.empty = True
        assert attest(context, devices, "tdx")[0] == 1
        assert not tsm.entries and tsm.made == tsm.removed >= 2
        tsm.refusal = errno.EPERM
        assert code(attest(context, devices, "tdx")) == "tdx.unavailable"


def test_the_privilege_level_is_the_least_allowed(context):
    with interfaces(snp()) as devices:
        assert '"vmpl": 2' in attest(context, devices, "snp")[1]
        devices.mounted["tsm"].auxiliary = lambda: b"\x01" * 24
        assert code(attest(context, devices, "snp")) == "snp.certificates.malformed"


def test_the_quoting_service_makes_quotes(context):
    platform = tdx()
    with interfaces() as devices:
        devices.mounted["tdx_guest"] = TDXGuest()
        service = QuotingService(devices.directory, platform.vendor.tdx)
        words = ["--quoting-service", f"unix:{service.path}"]
        assert attest(context, devices, "tdx", *words)[0] == 0
        service.failure = 0x12005
        status, said = attest(context, devices, "tdx", *words)
        assert code((status, said)) == "tdx.quoting_service" and "0x12005" in said, said
        service.failure, service.silent = 0, True
        assert code(attest(context, devices, "tdx", *words)) == "tdx.unavailable"
        service.silent = False
        devices.mounted.clear()
        assert code(attest(context, devices, "tdx", *words)) == "tdx.unavailable"
        service.close()
        wrong = attest(context, devices, "tdx", "--quoting-service", "tcp:1")
        assert wrong[0] == 78 and "vsock:CONTEXT:PORT" in wrong[1], wrong


def test_the_nitro_module_says_why_not(context):
    with interfaces(nitro_enclave()) as devices:
        assert attest(context, devices, "nitro")[0] == 0
        devices.mounted["nsm"] = NSM(None)
        devices.mounted["nsm"].failure = "BufferTooSmall"
        status, said = attest(context, devices, "nitro")
        assert code((status, said)) == "nitro.nsm" and "BufferTooSmall" in said, said
        devices.mounted.clear()
        assert code(attest(context, devices, "nitro")) == "nitro.unavailable"


def test_auto_takes_the_strongest_and_doctor_says_what_works(context):
    kinds = [(tdx(), "Intel TDX"), (snp(), "AMD SEV-SNP"), (nitro_enclave(), "AWS Nitro")]
    for platform, title in [*kinds, (sgx(), "Intel SGX")]:
        # Gramine's files are there beside each: the weakest of the four.
        with interfaces(sgx(), platform) as devices:
            status, said = attest(context, devices, "auto")
            assert status == 0 and f'"format": "{platform.attester}"' in said, said
            status, said = run(context, devices, "doctor", "--json")
            found = {item["interface"]: item for item in json.loads(said)}
            assert status == 0 and found[title]["state"] == "usable", said
            assert len(found[title]["quote_ms"]) == 3
    with interfaces(tdx()) as devices:
        devices.mounted["tsm"].empty = True
        status, said = run(context, devices, "doctor", "--json")
        found = {item["interface"]: item for item in json.loads(said)}
        assert status == 1 and found["Intel TDX"]["state"] == "unusable", said
        assert "outblob" in found["Intel TDX"]["detail"], said
    with interfaces() as devices:
        devices.mounted["tsm"] = TSM("arm_cca_guest", lambda data: data)
        status, said = run(context, devices, "doctor", "--json")
        found = {item["interface"]: item for item in json.loads(said)}
        assert status == 1 and found["configfs-tsm"]["state"] == "unsupported", said


def test_choices_that_do_not_go_together_are_refused(context):
    with interfaces(tdx()) as devices:
        for choice in ("tdx,snp", "auto,tpm", "tdx,tdx", "none,tpm", "tdx,", "cca"):
            status, said = attest(context, devices, choice)
            assert status == 78, (choice, said)
        status, said = attest(context, devices, "tdx", "--endorsements", "/nowhere")
        assert status == 78 and "endorsements.folder.unreadable" in said, said
