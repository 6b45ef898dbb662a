"""Prints what verifying Evidence costs, beside dcap-qvl on the same quotes.

CPU microseconds of one whole verification, medians, in one process each. usage: run.py BENCH
"""

import json
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "Differential"))

import dcap_qvl  # noqa: E402
from quotes import FILES, SHARED, seconds  # noqa: E402

CASES = ["tdx/v4-gcp-cos113-ccel-uptodate", "tdx/v5-td15-uptodate", "sgx/v3-icx-swhardening",
         "snp/genoa-v3-azure", "nitro/dstack-production", "nvidia/h100-535-with-vbios-rim",
         "tpm/azure-snp-milan-challenge"]
ROUNDS = 300


def other(folder, at):
    """The same for dcap-qvl, its collateral parsed beforehand; None for what it does not read."""
    if not all((folder / name).exists() for name in FILES):
        return None
    read = {name: (folder / name).read_bytes() for name in FILES}
    parts = []
    for raw, member in ((read["tcb_info.json"], b"tcbInfo"),
                        (read["qe_identity.json"], b"enclaveIdentity")):
        start = raw.index(b"{", raw.index(b'"' + member + b'"'))
        length = json.JSONDecoder().raw_decode(raw[start:].decode())[1]
        parts += [raw[start:][:length].decode(), bytes.fromhex(json.loads(raw)["signature"])]
    chain = read["tcb_signing_chain.pem"].decode()
    collateral = dcap_qvl.QuoteCollateralV3(
        pck_crl_issuer_chain=(folder / "pck_crl_issuer_chain.pem").read_text(),
        root_ca_crl=read["root_ca_crl.der"], pck_crl=read["pck_crl.der"],
        tcb_info_issuer_chain=chain, tcb_info=parts[0], tcb_info_signature=parts[1],
        qe_identity_issuer_chain=chain, qe_identity=parts[2], qe_identity_signature=parts[3])
    times = []
    for number in range(ROUNDS + ROUNDS // 10):
        began = time.process_time_ns()
        dcap_qvl.verify(read["quote.bin"], collateral, at)
        if number >= ROUNDS // 10:
            times.append((time.process_time_ns() - began) / 1_000)
    return statistics.median(times)


def main():
    if not SHARED.is_dir():
        print(f"skipped: {SHARED} is absent")
        return 0
    times = {case: seconds(json.loads((SHARED / case / "vector.json").read_text())["verify_at"])
             for case in CASES}
    command = [sys.argv[1], str(ROUNDS)] + [f"{SHARED / c}={at}" for c, at in times.items()]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    print(f"{'Evidence':34} {'Ratel µs':>9} {'dcap-qvl µs':>12} {'ratio':>6}")
    for line in done.stdout.splitlines():
        _, path, own = line.split()
        case = str(pathlib.Path(path).relative_to(SHARED))
        theirs = other(SHARED / case, times[case])
        ratio = f"{float(own) / theirs:6.2f}" if theirs else "     –"
        shown = f"{theirs:12.0f}" if theirs else f"{'–':>12}"
        print(f"{case:34} {float(own):9.0f} {shown} {ratio}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
