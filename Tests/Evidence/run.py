"""Runs `ratel verify` over every shared vector of real Evidence, as a reviewer would.

Each has to end as `vector.json` says, at its `verify_at`, with every claim that both name equal;
and what is verified has to be refused one second outside its window.

usage: run.py RATEL [NAME …]
"""

import concurrent.futures
import datetime
import json
import os
import pathlib
import subprocess
import sys

SHARED = pathlib.Path(os.environ.get("RATEL_SHARED", "../shared")) / "vectors"
KINDS = ["tdx", "sgx", "snp", "tpm", "nitro", "nvidia", "cca", "ratls-cert"]


def verify(ratel, folder, at, vector):
    command = [ratel, "verify", str(folder), "--authenticity-only", "--json", "--at", str(at)]
    anchor = vector["trust_anchor"]
    if anchor.startswith("file:"):
        command += ["--root", str(folder / anchor[5:])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    try:
        return done.returncode, json.loads(done.stdout)
    except json.JSONDecodeError:
        return done.returncode, {"notice": done.stderr.strip()}


def seconds(text):
    return int(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp())


def differences(expected, found, path=""):
    """Every value that both sides name and that is not equal; and how many were compared."""
    wrong, compared = [], 0
    for name, value in expected.items():
        if name not in found:
            continue
        other = found[name]
        if isinstance(value, dict) and isinstance(other, dict):
            inner, count = differences(value, other, f"{path}{name}.")
            wrong += inner
            compared += count
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            if len(value) != len(other):
                wrong.append(f"{path}{name}: expected {len(value)}, got {len(other)}")
            for index, (one, its) in enumerate(zip(value, other)):
                inner, count = differences(one, its, f"{path}{name}.{index}.")
                wrong += inner
                compared += count
        elif value is None:
            if other not in (None, ""):
                wrong.append(f"{path}{name}: expected none, got {other}")
        else:
            compared += 1
            if value != other:
                wrong.append(f"{path}{name}: expected {value}, got {other}")
    return wrong, compared


def check(ratel, folder):
    vector = json.loads((folder / "vector.json").read_text())
    if vector.get("contested"):
        return []
    name = f"{folder.parent.name}/{folder.name}"
    at = seconds(vector["verify_at"])
    status, document = verify(ratel, folder, at, vector)
    says = document.get("code") or document.get("notice") or ""
    is_good = vector["expect"] == "verified"
    has_gap = bool(vector.get("collateral_gaps"))
    problems = []
    if is_good and status != 0 and not (has_gap and status == 1):
        problems.append(f"{name}: should be verified, is {status}: {says}")
    if not is_good and status != 1:
        problems.append(f"{name}: should be refused ({vector['expect']}), is {status} {says}")
    if status == 0:
        wrong, compared = differences(vector["claims"], document["claims"])
        if vector.get("tcb"):
            more, count = differences(vector["tcb"], document.get("tcb") or {})
            wrong += more
            compared += count
        problems += [f"{name}: {line}" for line in wrong]
        if compared < 6:
            problems.append(f"{name}: only {compared} claims have the names of vector.json")
        window = vector.get("window") or {}
        for edge, step in (("from", -1), ("to", 1)):
            if edge in window:
                outside, _ = verify(ratel, folder, seconds(window[edge]) + step, vector)
                if outside != 1:
                    problems.append(f"{name}: one second outside `{edge}` it is {outside}")
    if os.environ.get("VERBOSE"):
        print(f"{name:55} {vector['expect'][:50]:52} {status} {says}")
    return problems


def main():
    ratel, names = sys.argv[1], sys.argv[2:]
    if not SHARED.is_dir():
        print(f"skipped: {SHARED} is absent\n0 passed, 0 failed")
        return 0
    folders = [f.parent for kind in KINDS for f in sorted((SHARED / kind).glob("*/vector.json"))]
    if names:
        folders = [f for f in folders if any(n in str(f) for n in names)]
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        results = list(pool.map(lambda f: check(ratel, f), folders))
    problems = [line for result in results for line in result]
    for line in problems:
        print(f"FAILED {line}")
    failed = sum(1 for result in results if result)
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
