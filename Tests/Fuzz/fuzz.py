"""Builds the fuzz targets and runs each for a while; fails on the first crash.

fuzz.py SECONDS [TARGET ...]
"""

import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
SCRATCH = HERE.parent.parent / ".build-fuzz"


def main():
    seconds, chosen = int(sys.argv[1]), sys.argv[2:]
    # gold stops on the debug information of sanitized Swift; lld comes with the toolchain.
    build = ["swift", "build", "-c", "release", "--package-path", HERE, "--scratch-path", SCRATCH]
    build += ["-Xswiftc", "-sanitize=fuzzer,address", "-Xswiftc", "-use-ld=lld"]
    # The parsers of Appraisal are internal: the targets import them as its tests do.
    build += ["-Xswiftc", "-enable-testing"]
    subprocess.run(build, check=True)
    failed = []
    targets = chosen or sorted(path.name for path in (HERE / "Seeds").iterdir())
    for target in targets:
        if not run(target, seconds):
            failed.append(target)
    print(f"{len(targets) - len(failed)} passed, {len(failed)} failed")
    sys.exit(1 if failed else 0)


def run(target, seconds):
    corpus, crashes = SCRATCH / "corpus" / target, SCRATCH / "crashes"
    corpus.mkdir(parents=True, exist_ok=True)
    crashes.mkdir(exist_ok=True)
    command = [SCRATCH / "release" / f"Fuzz{target}", corpus, HERE / "Seeds" / target]
    # 32 KiB: twice the largest head. 5 s: an input that takes longer is a finding.
    command += [
        f"-max_total_time={seconds}",
        "-max_len=32768",
        "-timeout=5",
        "-print_final_stats=1",
    ]
    command += [f"-artifact_prefix={crashes}/{target}-"]
    # Swift's own backtracer waits for a terminal when libFuzzer has caught the signal.
    environment = dict(os.environ, SWIFT_BACKTRACE="enable=no")
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    lines = done.stderr.splitlines()
    units = [line.split()[-1] for line in lines if "number_of_executed_units" in line]
    coverage = [line for line in lines if " cov: " in line][-1:]
    print(f"{target}: {units[0] if units else '?'} runs; {' '.join(coverage).strip()}", flush=True)
    if done.returncode != 0:
        print("\n".join(lines[-40:]))
    return done.returncode == 0


if __name__ == "__main__":
    main()
