"""Evidence in single files, as text, with its collateral elsewhere, and policies for all of it.

usage: files.py RATEL
"""

import base64
import json
import os
import pathlib
import subprocess
import sys
import tempfile

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS / "Support"))

from vendors import Vendors  # noqa: E402

SHARED = pathlib.Path(os.environ.get("RATEL_SHARED", "../shared")) / "vectors"
QUOTE, GUEST = "tdx/v5-td15-uptodate", "snp/genoa-v3-azure"
OFF = {f"RATEL_{name}": "off" for name in ("PCS", "KDS", "RIM", "OCSP", "COLLATERAL_CACHE")}


def time(name):
    return json.loads((SHARED / name / "vector.json").read_text())["verify_at"]


def ratel(command, *words):
    done = subprocess.run(
        [command, *map(str, words)], capture_output=True, text=True, timeout=60,
        env=os.environ | OFF)
    return done.returncode, done.stdout


def verify(command, path, at, *words):
    """Exit status, and the code of a refusal."""
    status, printed = ratel(command, "verify", path, "--json", "--at", at, *words)
    return status, json.loads(printed).get("code") if printed else None


def alone(command, folder):
    """A quote or report by itself, in three ways of writing; its collateral lies elsewhere."""
    for name, file in ((QUOTE, "quote.bin"), (GUEST, "report.bin")):
        raw = (SHARED / name / file).read_bytes()
        lines = base64.encodebytes(raw)
        for form in (raw, raw.hex().encode(), b"0x" + raw.hex().upper().encode() + b"\n", lines):
            path = folder / "evidence"
            path.write_bytes(form)
            only = ("--authenticity-only",)
            status, code = verify(command, path, time(name), *only)
            missing = {QUOTE: "dcap.collateral.missing", GUEST: "snp.key.missing"}[name]
            yield f"{name} alone", (status, code), (1, missing)
            found = verify(
                command, path, time(name), *only, "--collateral", SHARED / name)
            yield f"{name} with a folder", found, (0, None)
            found = verify(
                command, path, time(name), *only, "--collateral", SHARED / "nitro")
            yield f"{name} with another folder", found, (1, missing)
        path.write_bytes(raw.hex().encode() + b"0")
        yield "half a byte", verify(command, path, time(name), *only), (2, None)


def fetched(command, folder):
    """A service is asked where it is named, also at another time, and its answers are checked."""
    with Vendors(SHARED / QUOTE) as vendors:
        path = SHARED / QUOTE / "quote.bin"
        words = ["--authenticity-only", "--pcs", vendors.url]
        yield "fetched", verify(command, path, time(QUOTE), *words), (0, None)
        asked = len(vendors.requests)
        found = verify(command, SHARED / QUOTE, time(QUOTE), *words)
        yield "nothing is fetched that lies there", (found, len(vendors.requests)), ((0, None),
                                                                                    asked)
        vendors.fault = "signature"
        found = verify(command, path, time(QUOTE), *words)
        yield "forged", found, (1, "dcap.collateral.missing")


def written(command, folder):
    """The policy that is written from a folder says what else it takes; nothing is left out."""
    cases = {
        "tdx/v5-td15-uptodate": [((), (0, None))],
        "cca/tf-rmm": [
            ((), (0, None)), (("cpak: [\"", "cpak: [\"00"), None),
        ],
        "nitro/dstack-production": [((), (0, None))],
        "tpm/azure-snp-milan-challenge": [
            ((), (1, "snp.crl.missing")),
            (("revocation: required", "revocation: any"), (0, None)),
            (("reset_count: any", "reset_count: [9]"), (1, "snp.crl.missing")),
            (("revocation: required", "revocation: any", "reset_count: any", "reset_count: [9]"),
             (1, "tpm.reset_count")),
        ],
        "tpm/azure-tdx-live": [((), (1, "dcap.collateral.missing"))],
        "nvidia/h100-535-with-vbios-rim": [
            ((), (1, "nvidia.ocsp.missing")),
            (("ocsp: required", "ocsp: any"), (1, "nvidia.rim.driver.missing")),
            (("ocsp: required", "ocsp: any", "driver_rim: required", "driver_rim: any"),
             (0, None)),
            (("ocsp: required", "ocsp: any", "driver_rim: required", "driver_rim: any",
              "tier: none", "tier: session"), (78, None)),
        ],
        "nvidia/h100-x4-590": [((), (1, "nvidia.switch.missing"))],
    }
    for name, changes in cases.items():
        status, text = ratel(command, "policy", "init", SHARED / name)
        yield f"{name} becomes a policy", status, 0
        for pairs, wanted in changes:
            changed = text
            for old, new in zip(pairs[::2], pairs[1::2]):
                if old not in changed:
                    yield f"{name}: {old}", "absent", "present"
                changed = changed.replace(old, new)
            policy = folder / "policy.yaml"
            policy.write_text(changed)
            found = verify(
                command, SHARED / name, time(name), "--policy", policy, "--any-nonce")
            # A key of another length is no key.
            yield f"{name} {pairs}", found, wanted or (78, None)


def main():
    command = sys.argv[1]
    if not SHARED.is_dir():
        print(f"skipped: {SHARED} is absent\n0 passed, 0 failed")
        return 0
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="ratel-") as path:
        for part in (alone, fetched, written):
            for what, found, wanted in part(command, pathlib.Path(path)):
                passed, failed = passed + (found == wanted), failed + (found != wanted)
                if found != wanted:
                    print(f"FAILED {what}: {found}, expected {wanted}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
