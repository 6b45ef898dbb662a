"""Compares TDX and SGX verdicts with dcap-qvl, on every shared vector and on mutated ones.

Nothing that dcap-qvl refuses may be accepted. What only Ratel refuses is counted by its code; each
code has to have its reason in STRICTER. Where both accept, the TCB status has to be the same.

usage: quotes.py RATEL [CASES]     (2,000 mutated cases; the seed is printed and fixed)
"""

import collections
import concurrent.futures
import datetime
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

import dcap_qvl
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

SHARED = pathlib.Path(os.environ.get("RATEL_SHARED", "../shared")) / "vectors"
FILES = ["quote.bin", "tcb_info.json", "qe_identity.json", "tcb_signing_chain.pem",
         "pck_crl.der", "root_ca_crl.der"]
SEED = 20_260_215

# What Ratel refuses and dcap-qvl lets pass, and why Ratel is right to.
STRICTER = {
    "dcap.tdx.service_td": "a bound service TD: appraisal.md, Intel DCAP 8",
    "dcap.tdx.sept_ve": "SEPT_VE_DISABLE off: appraisal.md, Intel DCAP 8",
    "dcap.tdx.debug": "the whole TUD group, not bit 0 alone",
    "dcap.sgx.debug": "a debug enclave",
    "dcap.tdx.attributes": "reserved attribute bits",
    "dcap.tdx.xfam": "XFAM outside of what a TD may have",
    "dcap.chain.malformed": "bytes in the PEM that are no certificate",
    "dcap.chain.root": "a chain that does not itself hold the pinned root",
    "dcap.pck.chain": "revocation lists, checked at the time given, with every signature",
    "dcap.tcb.chain": "revocation lists, checked at the time given, with every signature",
    "dcap.collateral.malformed": "JSON that is not strictly one document of two members",
    "dcap.collateral.stale": "collateral from the future, or at its very end",
    "dcap.quote.malformed": "bytes behind the quote that are not zero, lengths that disagree",
    "dcap.quote.vendor": "a QE vendor that is not Intel's",
    "dcap.pck.issuer": "an issuer that is no PCK CA",
    "dcap.revocation.missing": "an empty revocation list",
}


def seconds(text):
    return int(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp())


def other(folder, at, root):
    """What dcap-qvl says: a status and advisories, or why not."""
    read = {name: (folder / name).read_bytes() for name in FILES}
    try:
        issuers = (folder / "pck_crl_issuer_chain.pem").read_text()
        chain = read["tcb_signing_chain.pem"].decode()
        info, identity = json.loads(read["tcb_info.json"]), json.loads(read["qe_identity.json"])

        def inner(raw, member):
            # The signature covers the member's bytes, which must not be written anew.
            start = raw.index(b"{", raw.index(b'"' + member + b'"'))
            return json.JSONDecoder().raw_decode(raw[start:].decode())[1], start

        parts = []
        for raw, member in ((read["tcb_info.json"], b"tcbInfo"),
                            (read["qe_identity.json"], b"enclaveIdentity")):
            length, start = inner(raw, member)
            parts.append(raw[start:][:length].decode())
        collateral = dcap_qvl.QuoteCollateralV3(
            pck_crl_issuer_chain=issuers, root_ca_crl=read["root_ca_crl.der"],
            pck_crl=read["pck_crl.der"], tcb_info_issuer_chain=chain, tcb_info=parts[0],
            tcb_info_signature=bytes.fromhex(info["signature"]), qe_identity_issuer_chain=chain,
            qe_identity=parts[1], qe_identity_signature=bytes.fromhex(identity["signature"]))
        if root:
            report = dcap_qvl.verify_with_root_ca(read["quote.bin"], collateral, root, at)
        else:
            report = dcap_qvl.verify(read["quote.bin"], collateral, at)
        return report.status, sorted(report.advisory_ids), None
    except BaseException as error:  # Its panics are no Exception.
        if isinstance(error, KeyboardInterrupt):
            raise
        return None, [], str(error)[:200]


def ours(ratel, folder, at, root):
    command = [ratel, "verify", str(folder), "--authenticity-only", "--json", "--at", str(at)]
    if root:
        command += ["--root", str(root)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode not in (0, 1):
        raise AssertionError(f"{folder}: exit {done.returncode} {done.stderr[-400:]}")
    document = json.loads(done.stdout)
    if done.returncode == 1:
        return None, [], document["code"]
    return document["tcb"]["status"], sorted(document["tcb"]["advisory_ids"]), None


def mutate(rng, folder):
    """Changes one file, or answers how many seconds to move the time."""
    kind = rng.random()
    if kind < 0.05:
        return rng.choice([-1, 1]) * rng.randrange(1, 40 * 86_400)
    # Most of what is signed, and so of the checks, is in the quote.
    name = "quote.bin" if kind < 0.6 else rng.choice(FILES[1:])
    (folder / name).write_bytes(damage(rng, (folder / name).read_bytes()))
    return 0


def damage(rng, raw):
    """The bytes with one change: a bit, a byte, some removed or put in, or the end cut off."""
    data = bytearray(raw)
    what = rng.random()
    place = rng.randrange(len(data))
    if what < 0.6:
        data[place] ^= 1 << rng.randrange(8)
    elif what < 0.75:
        data[place] = rng.choice([0, 0xFF, 0x20, 0x30, 0x7F])
    elif what < 0.85:
        del data[place : place + rng.randrange(1, 9)]
    elif what < 0.95:
        data[place:place] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 9)))
    else:
        data = data[:place]
    return bytes(data)


def compare(name, found, expected, tally, problems):
    (status, advisories, code), (wanted, wanted_advisories, why) = found, expected
    if code and why:
        tally["both refuse"] += 1
    elif code:
        tally[f"Ratel alone refuses: {code}"] += 1
        if code not in STRICTER:
            problems.append(f"{name}: Ratel alone refuses, {code}")
    elif why:
        problems.append(f"{name}: RATEL ACCEPTS what dcap-qvl refuses: {why}")
    elif status != wanted or advisories != wanted_advisories:
        problems.append(f"{name}: {status} {advisories}, dcap-qvl {wanted} {wanted_advisories}")
    else:
        tally["both accept"] += 1


def main():
    ratel, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 2_000
    if not SHARED.is_dir():
        print(f"skipped: {SHARED} is absent\n0 passed, 0 failed")
        return 0
    cases = []
    for kind in ("tdx", "sgx"):
        for path in sorted((SHARED / kind).glob("*/vector.json")):
            folder = path.parent
            if not all((folder / name).exists() for name in [*FILES, "pck_crl_issuer_chain.pem"]):
                continue
            facts = json.loads(path.read_text())
            anchor = facts["trust_anchor"]
            root = folder / anchor[5:] if anchor.startswith("file:") else None
            der = root and x509.load_pem_x509_certificate(
                root.read_bytes()).public_bytes(Encoding.DER)
            cases.append((folder, seconds(facts["verify_at"]), root, der, facts["expect"]))
    tally, problems = collections.Counter(), []
    for folder, at, root, der, _ in cases:
        compare(f"{folder.parent.name}/{folder.name}", ours(ratel, folder, at, root),
                other(folder, at, der), tally, problems)
    print(f"vectors: {len(cases)}, {dict(sorted(tally.items()))}")
    good = [case for case in cases if case[4] == "verified"]
    rng = random.Random(SEED)
    tally = collections.Counter()

    def one(number, seed):
        rng = random.Random(seed)
        folder, at, root, der, _ = rng.choice(good)
        with tempfile.TemporaryDirectory(prefix="ratel-") as path:
            copy = pathlib.Path(path) / "case"
            shutil.copytree(folder, copy)
            at += mutate(rng, copy)
            name = f"case {number} of {folder.name}, seed {seed}"
            return name, ours(ratel, copy, at, root), other(copy, at, der)

    seeds = [rng.randrange(1 << 60) for _ in range(count)]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for name, found, expected in pool.map(one, range(count), seeds):
            compare(name, found, expected, tally, problems)
    print(f"mutated: {count}, seed {SEED}")
    for what, times in sorted(tally.items()):
        code = what.rpartition(" ")[2]
        print(f"  {times:5} {what}{' (' + STRICTER[code] + ')' if code in STRICTER else ''}")
    for line in problems:
        print(f"FAILED {line}")
    print(f"{len(cases) + count - len(problems)} passed, {len(problems)} failed")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
