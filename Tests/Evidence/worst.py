"""Feeds the verifier the worst it can be given: each has to be refused by its code, within 16 MiB
and 100 million instructions above what refusing one byte takes.

100 million are 50 ms where a machine is as slow as two in a nanosecond. They are counted by
cachegrind, which says the same each time, and so of the optimised build alone; CPU times are
printed for a person.

usage: worst.py RATEL
"""

import base64
import json
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "Support"))
from counting import instructions, stripped  # noqa: E402

SHARED = pathlib.Path(os.environ.get("RATEL_SHARED", "../shared")) / "vectors"
BUDGET = 16 * 1024
INSTRUCTIONS = 100_000_000


def vector(name):
    return {path.name: path.read_bytes() for path in (SHARED / name).iterdir()}


def cases():
    """Files, with the code of the refusal."""
    begin, end = b"-----BEGIN CERTIFICATE-----\n", b"-----END CERTIFICATE-----\n"
    quote, gpu = vector("tdx/v5-td15-uptodate"), vector("nvidia/h100-535-with-vbios-rim")
    tpm = vector("tpm/azure-snp-milan-challenge")
    members = b",".join(b'"k%d":1' % number for number in range(22_000))
    pcrs = b",".join(b'"%d":"00"' % number for number in range(100_000))
    hcl = tpm["hcl-report.bin"][:1216] + bytes(20) + b"[" * 14_000
    attributes = b" ".join(b'a%d="1"' % number for number in range(30_000))
    entities = b'<!DOCTYPE a [<!ENTITY x "yyyyyyyy">]><a>' + b"&x;" * 100_000 + b"</a>"
    document, info, rim = "attestation-document.cbor", "tcb_info.json", "vbios-rim.swidtag.xml"
    malformed = "dcap.collateral.malformed"
    yield "CBOR nested", {document: b"\x81" * 12_000}, "nitro.malformed"
    yield "CBOR giant length", {document: b"\x9b" + b"\xff" * 8}, "nitro.malformed"
    yield "PEM, beginnings alone", {"cert.pem": begin * 60_000}, "certificate.malformed"
    blocks = (begin + b"AAAA\n" + end) * 30_000
    yield "PEM, many blocks", {"cert.pem": blocks}, "certificate.malformed"
    yield "JSON nested", quote | {info: b"[" * 250_000}, malformed
    yield "JSON nested objects", quote | {info: b'{"tcbInfo":' * 22_000}, malformed
    yield "JSON, many members", quote | {info: b'{"tcbInfo":{' + members + b"}}"}, malformed
    chain = quote["tcb_signing_chain.pem"] * 40
    yield "chain of 80", quote | {"tcb_signing_chain.pem": chain}, "dcap.chain.malformed"
    junk = b"\x30\x83\x03\xff\xfb" + b"\x30\x00" * 131_000
    yield "revocation list of junk", quote | {"pck_crl.der": junk}, "dcap.pck.chain"
    yield "XML nested", gpu | {rim: b"<a>" * 300_000}, "nvidia.rim.malformed"
    yield "XML entities", gpu | {rim: entities}, "nvidia.rim.malformed"
    yield "XML attributes", gpu | {rim: b"<a " + attributes + b"/>"}, "nvidia.rim.malformed"
    many = b'{"alg":"sha256","pcrs":{' + pcrs + b"}}"
    yield "PCR values, many", tpm | {"pcrs.json": many}, "tpm.pcr.malformed"
    attest = tpm["quote.msg"]
    # TPMS_ATTEST of a quote ends in count, selections and digest: as many as the length allows.
    place = attest.rindex(bytes([0, 0, 0, 1, 0, 0x0B]))
    selections = bytes([0, 0, 4, 0]) + bytes([0, 0x0B, 3, 255, 255, 255]) * 1_024
    yield ("PCR selections, one 1,024 times", tpm | {"quote.msg": attest[:place] + selections},
           "tpm.malformed")
    keys = gpu["cert-chain.pem"] * 200
    yield "device chain of 1,000", gpu | {"cert-chain.pem": keys}, "nvidia.chain.malformed"

    def token(header, claims):
        return b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in (
            header, claims, b"x" * 64))

    known = b'{"alg":"ES256"}'
    yield "token nested", {"result.jwt": token(known, b'{"a":' * 60_000)}, "result.malformed"
    many_claims = token(known, b"{" + members + b"}")
    yield "token, many claims", {"result.jwt": many_claims}, "result.malformed"
    submodules = b",".join(b'"d%d":"x.y.z"' % number for number in range(20_000))
    bundle = b'[["JWT","' + token(known, b'{"submods":{}}') + b'"],{' + submodules + b"}]"
    yield "bundle of 20,000", {"result.jwt": bundle}, "result.malformed"
    yield "CWT nested", {"result.jwt": b"\xd8\x3d\xd2\x84" + b"\x81" * 12_000}, "result.malformed"
    yield "paravisor's JSON nested", tpm | {"hcl-report.bin": hcl}, "tpm.hcl.malformed"


def refuse(ratel, files):
    """The code of the refusal, resident memory in KiB, CPU milliseconds and instructions."""
    with tempfile.TemporaryDirectory(prefix="ratel-") as path:
        for name, content in files.items():
            (pathlib.Path(path) / name).write_bytes(content)
        command = [ratel, "verify", path, "--authenticity-only", "--json", "--at", "1771027200"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        printed = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        counted = instructions(command)
    code = json.loads(printed).get("code") if printed else None
    return code, usage.ru_maxrss, 1_000 * (usage.ru_utime + usage.ru_stime), counted


def main():
    built = sys.argv[1]
    if not SHARED.is_dir():
        print(f"skipped: {SHARED} is absent\n0 passed, 0 failed")
        return 0
    with stripped(built) as ratel:
        return run(ratel)


def run(ratel):
    _, base, _, least = refuse(ratel, {"quote.bin": b"\0"})
    passed = failed = 0
    for name, files, wanted in cases():
        code, memory, cpu, count = refuse(ratel, files)
        is_cheap = memory - base <= BUDGET and count - least <= INSTRUCTIONS
        good = code == wanted and is_cheap
        passed, failed = passed + good, failed + (not good)
        print(f"{'' if good else 'FAILED '}{name}: {code}, {memory - base} KiB, "
              f"{(count - least) / 1e6:.1f} M instructions, {cpu:.0f} ms CPU", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
