"""Compares SEV-SNP, Nitro and TPM verdicts with independent verifiers (verifiers.py).

On every shared vector, and on mutated ones. Nothing that the other refuses may be accepted. What
only Ratel refuses is counted by its code; each code has to have its reason in STRICTER.

usage: evidence.py RATEL [CASES]     (2,000 mutated cases; the seed is printed and fixed)
"""

import collections
import concurrent.futures
import json
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

import verifiers
from quotes import SHARED, damage, seconds

SEED = 20_260_216
# Which files are mutated, and how often: most of what is signed is in the first.
FILES = {
    "snp": ["report.bin"] * 6 + ["vcek.der", "vlek.der", "ask.der", "asvk.der", "ark.der",
                                 "crl.der"],
    "nitro": ["attestation-document.cbor"],
    "tpm": ["quote.msg"] * 3 + ["quote.sig"] * 2 + ["pcrs.json", "ak.pub.pem", "report.bin",
                                                   "runtime-data.json"],
}

# What Ratel refuses and the other lets pass, and why Ratel is right to.
STRICTER = {
    "snp.crl.missing": "whether the issuer is revoked is not known",
    "tpm.signature.hash": "SHA-1",
    "tpm.hcl.report_data": "report.bin differs from HCL's where no signature covers it",
    "unusable": "a trust anchor for `--root` that is no PEM",
    "snp.malformed": "bytes behind the signature that are not zero",
}


def ours(ratel, folder, at, anchor):
    command = [ratel, "verify", str(folder), "--authenticity-only", "--json", "--at", str(at)]
    if anchor.startswith("file:"):
        command += ["--root", str(folder / anchor[5:])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode == 2:
        return "unusable"
    if done.returncode not in (0, 1):
        raise AssertionError(f"{folder}: exit {done.returncode} {done.stderr[-400:]}")
    return json.loads(done.stdout)["code"] if done.returncode else None


def other(folder, kind, at, roots):
    try:
        getattr(verifiers, kind)(folder, at, roots)
    except Exception as error:
        return f"{type(error).__name__} {error}"[:200] or "refused"
    return None


def mutated(rng, folder, kind):
    """Changes one file, or answers how many seconds to move the time."""
    if kind != "tpm" and rng.random() < 0.1:
        return rng.choice([-1, 1]) * rng.randrange(1, 4 * 3_600 if kind == "nitro" else 1 << 28)
    names = [name for name in FILES[kind] if (folder / name).exists()]
    name = rng.choice(names)
    (folder / name).write_bytes(damage(rng, (folder / name).read_bytes()))
    return 0


def compare(name, code, why, tally, problems):
    if code and why:
        tally["both refuse"] += 1
    elif code:
        tally[f"Ratel alone refuses: {code}"] += 1
        if code not in STRICTER:
            problems.append(f"{name}: Ratel alone refuses, {code}")
    elif why:
        problems.append(f"{name}: RATEL ACCEPTS what the other refuses: {why}")
    else:
        tally["both accept"] += 1


def main():
    ratel, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 2_000
    if not SHARED.is_dir():
        print(f"skipped: {SHARED} is absent\n0 passed, 0 failed")
        return 0
    roots = {verifiers.spki(verifiers.load(path.read_bytes()))
             for path in (SHARED / "roots").glob("*.der") if path.name.startswith(("amd-ark",
                                                                                   "aws-"))}
    cases = []
    for kind in FILES:
        for path in sorted((SHARED / kind).glob("*/vector.json")):
            facts = json.loads(path.read_text())
            cases.append((kind, path.parent, seconds(facts["verify_at"]), facts["trust_anchor"],
                          facts["expect"] == "verified" and not facts.get("collateral_gaps")))
    tally, problems = collections.Counter(), []
    for kind, folder, at, anchor, _ in cases:
        compare(f"{kind}/{folder.name}", ours(ratel, folder, at, anchor),
                other(folder, kind, at, roots), tally, problems)
    report(f"vectors: {len(cases)}", tally)
    tally = collections.Counter()
    good = {kind: [case for case in cases if case[0] == kind and case[4]] for kind in FILES}

    def one(number, seed):
        rng = random.Random(seed)
        kind, folder, at, anchor, _ = rng.choice(good[list(FILES)[number % len(FILES)]])
        with tempfile.TemporaryDirectory(prefix="ratel-") as path:
            copy = pathlib.Path(path) / "case"
            shutil.copytree(folder, copy, copy_function=shutil.copyfile)
            at += mutated(rng, copy, kind)
            name = f"case {number} of {kind}/{folder.name}, seed {seed}"
            return name, ours(ratel, copy, at, anchor), other(copy, kind, at, roots)

    rng = random.Random(SEED)
    seeds = [rng.randrange(1 << 60) for _ in range(count)]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for name, code, why in pool.map(one, range(count), seeds):
            compare(name, code, why, tally, problems)
    report(f"mutated: {count}, seed {SEED}", tally)
    for line in problems:
        print(f"FAILED {line}")
    print(f"{len(cases) + count - len(problems)} passed, {len(problems)} failed")
    return 1 if problems else 0


def report(title, tally):
    print(title)
    for what, times in sorted(tally.items()):
        code = what.rpartition(" ")[2]
        print(f"  {times:5} {what}{' (' + STRICTER[code] + ')' if code in STRICTER else ''}")


if __name__ == "__main__":
    sys.exit(main())
