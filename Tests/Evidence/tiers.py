"""What a policy makes of Evidence in files, by what ties it down: a certificate's key, or nothing.

usage: tiers.py RATEL
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

SHARED = pathlib.Path(os.environ.get("RATEL_SHARED", "../shared")) / "vectors"
POLICY = {"pcrs": {"0": "any", "1": "any", "2": "any", "8": "any"}, "max_skew": "300s"}
CERTIFICATE, AT = "ratls-cert/evervault-nitro", "2023-01-18T13:12:19Z"
DOCUMENT, THEN = "nitro/dstack-production", "2025-12-25T16:04:49Z"
# Folder, time, the policy's tier, options; then status and what the answer says of the tier.
CASES = [
    (CERTIFICATE, AT, "session", ["--any-nonce"], 1, "policy.tier.mismatch"),
    (CERTIFICATE, AT, "static", ["--any-nonce"], 0, "static"),
    (DOCUMENT, THEN, "session", ["--any-nonce"], 0, "none"),
    (DOCUMENT, THEN, "session", ["--nonce", "00"], 1, "evidence.nonce.mismatch"),
    (DOCUMENT, THEN, "session", [], 78, None),
]


def main():
    ratel = sys.argv[1]
    if not SHARED.is_dir():
        print(f"skipped: {SHARED} is absent\n0 passed, 0 failed")
        return 0
    failed = 0
    for name, at, tier, options, wanted, says in CASES:
        peer = {"name": "enclave", "tier": tier, "require": {"nitro": 1}, "nitro": POLICY}
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as policy:
            policy.write(json.dumps({"version": 1, "peers": [peer]}))
            policy.flush()
            command = [ratel, "verify", str(SHARED / name), "--policy", policy.name, "--json"]
            done = subprocess.run(
                [*command, "--at", at, *options], capture_output=True, text=True, timeout=60)
        document = json.loads(done.stdout) if done.stdout else {}
        found = document.get("code") or document.get("tier")
        if done.returncode != wanted or found != says:
            failed += 1
            print(f"FAILED {name} {tier} {options}: {done.returncode} {found} {done.stderr}")
    print(f"{len(CASES) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
