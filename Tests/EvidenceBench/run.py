"""Prints what verifying Evidence costs, beside dcap-qvl on the same quotes. usage: run.py BENCH

CPU microseconds of one whole verification, medians, in one process each, and instructions.
Warm, authorities, collateral and the platform's chain were seen before; cold, none of it was.
dcap-qvl remembers nothing, and is handed its collateral taken apart.
"""

import json
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "Differential"))
sys.path.insert(0, str(ROOT / "Support"))

import dcap_qvl  # noqa: E402
from counting import instructions  # noqa: E402
from quotes import FILES, SHARED, seconds  # noqa: E402

CASES = ["tdx/v4-gcp-cos113-ccel-uptodate", "tdx/v5-td15-uptodate", "sgx/v3-icx-swhardening",
         "snp/genoa-v3-azure", "nitro/dstack-production", "nvidia/h100-535-with-vbios-rim",
         "tpm/azure-snp-milan-challenge"]
ROUNDS = 300


def other(folder, at, rounds):
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
    for number in range(rounds):
        began = time.process_time_ns()
        dcap_qvl.verify(read["quote.bin"], collateral, at)
        if number >= rounds // 10:
            times.append((time.process_time_ns() - began) / 1_000)
    return statistics.median(times)


def counted(bench, mode, target):
    """Instructions of one verification: the difference of many and few."""
    few, many = 5, 25
    # A tenth of the rounds, and one, come before those that are counted.
    rounds = [n + n // 10 + 1 for n in (few, many)]
    total = [instructions([bench, mode, str(n), target]) for n in (few, many)]
    return (total[1] - total[0]) / (rounds[1] - rounds[0])


def counted_other(folder, at):
    few, many = 5, 25
    total = [instructions([sys.executable, __file__, "--other", str(folder), str(at), str(n)])
             for n in (few, many)]
    return (total[1] - total[0]) / (many - few)


def timed(bench, mode, times):
    command = [bench, mode, str(ROUNDS)] + [f"{SHARED / c}={at}" for c, at in times.items()]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    return {str(pathlib.Path(path).relative_to(SHARED)): float(time) for _, path, time in lines}


def main():
    if not SHARED.is_dir():
        print(f"skipped: {SHARED} is absent")
        return 0
    if sys.argv[1] == "--other":
        other(pathlib.Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
        return 0
    bench = sys.argv[1]
    times = {case: seconds(json.loads((SHARED / case / "vector.json").read_text())["verify_at"])
             for case in CASES}
    warm, cold = [timed(bench, mode, times) for mode in ("warm", "cold")]
    print(f"{'':34} {'CPU µs, medians':>24} {'ratios':>12}  {'thousands of instructions':>26}")
    print(f"{'Evidence':34} {'warm':>7} {'cold':>7} {'dcap-qvl':>8} {'warm':>6}{'cold':>6}  "
          f"{'warm':>8} {'cold':>8} {'dcap-qvl':>8}")
    for case, at in times.items():
        theirs = other(SHARED / case, at, ROUNDS)
        target = f"{SHARED / case}={at}"
        counts = [counted(bench, mode, target) for mode in ("warm", "cold")]
        if theirs:
            counts.append(counted_other(SHARED / case, at))
        shown = f"{theirs:8.0f}" if theirs else f"{'–':>8}"
        ratios = f"{warm[case] / theirs:6.2f}{cold[case] / theirs:6.2f}" if theirs else " " * 12
        print(f"{case:34} {warm[case]:7.0f} {cold[case]:7.0f} {shown} {ratios}  "
              + " ".join(f"{count / 1000:8.0f}" for count in counts), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
