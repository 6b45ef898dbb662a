"""Switches off each check of the verifier in turn and runs the tests that pass by it.

    mutants.py [ONLY …]       only files whose path has one of these in it

The package is copied to .build-mutants and each check rewritten so that a number in the
environment deletes it or moves its bound (Rewriter.swift); one build serves all mutants. A first
pass records which test reaches which check, so that a mutant costs only the tests that reach it.
Environment: JOBS, processes at a time (2); RATEL_SHARED, where the vectors are; WITH, words of
which each test's name must have one, for a quick look.
Survivors are printed, and the exit status is 1 if there are any that equivalent.txt does not name.
"""

import collections
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

import equivalent

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
HERE = pathlib.Path(__file__).resolve().parent
SCRATCH = ROOT / ".build-mutants"
COPY = SCRATCH / "package"
BINARY = SCRATCH / "build" / "debug" / "ratelPackageTests.xctest"
SHARED = os.environ.get("RATEL_SHARED", str(ROOT.parent / "shared"))
JOBS = int(os.environ.get("JOBS", "2"))
# What verifies. Of Keys, not what only makes keys and certificates or wraps the library.
FOLDERS = ["Sources/Appraisal", "Sources/RATLS"]
# What tells people, and decides nothing.
TELLING = ["PlatformTCB", "DCAPClaims", "TPMClaims", "BundleFindings", "JSONForms"]
TELLING += ["EndingTolerance"]
KEYS = ["CBORDecoder", "CBORFields", "Certificate", "CertificateChain", "CertificateMemory"]
KEYS += ["CertificateStatus", "ChainMemory", "DERReader", "Digest", "JSONParser", "PublicKey"]
KEYS += ["Remembered", "RevocationList", "SignedXML", "XMLDocument", "XMLElement", "PEM", "Hex"]
TESTS = ["KeysTests", "AppraisalTests", "RATLSTests"]
# The slowest test takes 12 seconds on two cores; a check whose loss makes it loop is a killed one.
PATIENCE = 90
# By file, how often each test was the one that failed, in this run and the one before: what has
# caught many of a file's mutants is asked first.
CATCHES = collections.defaultdict(collections.Counter)


def main():
    only = [word.lower() for word in sys.argv[1:]] or [""]
    mutants, skipped = build()
    tests = record(mutants)
    chosen = [
        mutant for mutant in mutants if any(word in mutant["file"].lower() for word in only)
    ]
    began = time.monotonic()
    kept = SCRATCH / "catches.json"
    if kept.exists():
        for file, counts in json.loads(kept.read_text()).items():
            CATCHES[file].update(counts)
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        excuses = equivalent.read(HERE / "equivalent.txt")
        outcomes = list(pool.map(lambda mutant: watch(mutant, tests, excuses), chosen))
    kept.write_text(json.dumps(CATCHES))
    report(chosen, outcomes, excuses, skipped, time.monotonic() - began, only != [""])


# The copy and its one build.


def build():
    """Builds the copy; mutants that do not compile are left out and the rest is built again."""
    tool = build_tool()
    refused = set()
    for _ in range(8):
        mutants, skipped = copy(tool, refused)
        words = ["swift", "build", "--build-tests", "--package-path", COPY]
        words += ["--scratch-path", SCRATCH / "build"]
        done = run(words)
        if done.returncode == 0:
            print(f"{len(mutants)} mutants in {time_text(done.seconds)} of building", flush=True)
            return mutants, skipped
        errors = set(re.findall(rf"{COPY}/(\S+?:\d+):\d+: error", done.stdout))
        if not errors - refused:
            fail(done.stdout[-4000:])
        refused |= errors
        for error in sorted(errors):
            print(f"does not compile, skipped: {error}", flush=True)
    fail("the copy does not build")


def build_tool():
    """The rewriter, built on the SwiftSyntax that comes with the toolchain."""
    sources = [HERE / name for name in ("Mutate.swift", "Rewriter.swift", "Shape.swift")]
    tool = SCRATCH / "mutate"
    newest = max(source.stat().st_mtime for source in sources)
    if tool.exists() and tool.stat().st_mtime > newest:
        return tool
    SCRATCH.mkdir(exist_ok=True)
    host = pathlib.Path(os.path.realpath(shutil.which("swift"))).parent.parent / "lib/swift/host"
    words = ["swiftc", "-parse-as-library", "-swift-version", "6", "-I", host, "-L", host]
    words += ["-lSwiftSyntax", "-lSwiftParser", "-Xlinker", "-rpath", "-Xlinker", host]
    done = run(words + ["-o", tool] + sources)
    if done.returncode != 0:
        fail(done.stdout)
    return tool


def copy(tool, refused):
    """Copies what is needed; what did not change keeps its time, so that builds stay short."""
    fresh = SCRATCH / "fresh"
    shutil.rmtree(fresh, ignore_errors=True)
    kept = shutil.ignore_patterns("__pycache__", "Fuzz", "VLLM")
    for name in ["Sources", "Tests"]:
        shutil.copytree(ROOT / name, fresh / name, ignore=kept)
    (fresh / "Package.swift").write_text((ROOT / "Package.swift").read_text() + MANIFEST)
    (fresh / "Sources" / "Mutants").mkdir()
    shutil.copy(HERE / "Mutant.swift", fresh / "Sources" / "Mutants" / "Mutant.swift")
    files = sorted(
        str(path.relative_to(fresh))
        for folder in FOLDERS
        for path in (fresh / folder).rglob("*.swift")
        if path.stem not in TELLING
    )
    files = [f"Sources/Keys/{name}.swift" for name in KEYS] + files
    (SCRATCH / "refused").write_text("\n".join(sorted(refused)))
    done = run([tool, SCRATCH / "refused"] + files, cwd=fresh)
    if done.returncode != 0:
        fail(done.stdout)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    mirror(fresh, COPY)
    return lines[:-1], lines[-1]["skipped"] + len(refused)


def mirror(fresh, kept):
    """Makes `kept` what `fresh` is; a file of the same bytes keeps its time."""
    names = {path.relative_to(fresh) for path in fresh.rglob("*") if path.is_file()}
    for path in list(kept.rglob("*")):
        if path.is_file() and path.relative_to(kept) not in names:
            path.unlink()
    for name in names:
        target = kept / name
        if not target.exists() or target.read_bytes() != (fresh / name).read_bytes():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(fresh / name, target)


# Only what the tests of the verifier need, and the module that knows the mutant.
MANIFEST = """
let needed = [
    "CRecycler", "COpenSSL", "CLibXML2", "CZlib", "CTSS2", "Bytes", "Keys", "TLS", "RATS",
    "Attestation", "Appraisal", "RATLS", "KeysTests", "AppraisalTests", "RATLSTests",
]
package.targets.removeAll { !needed.contains($0.name) }
package.products = []
package.dependencies = []
for target in package.targets where ["Keys", "Appraisal", "RATLS"].contains(target.name) {
    target.dependencies.append("Mutants")
}
for target in package.targets where !(target.swiftSettings ?? []).isEmpty {
    target.swiftSettings = strict.dropLast(4) + [.enableExperimentalFeature("Lifetimes")]
}
package.targets.append(.target(name: "Mutants"))
"""


# Which test reaches what.


def record(mutants):
    """The names of the tests with the seconds that each takes and the mutants that it reaches."""
    names = run([BINARY, "--testing-library", "swift-testing", "--list-tests"]).stdout.split()
    names = [name for name in names if name.split(".")[0] in TESTS]
    words = os.environ.get("WITH", "").split() or [""]
    names = [name for name in names if any(word in name for word in words)]
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        found = list(pool.map(lambda name: record_one(name, len(mutants)), names))
    for name, test in zip(names, found):
        if test["outcome"] != "passed":
            fail(f"{name} {test['outcome']} with every check in place")
    reached = set().union(*(test["reached"] for test in found))
    print(f"{len(names)} tests reach {len(reached)} of {len(mutants)} mutants", flush=True)
    return dict(zip(names, found))


def record_one(name, count):
    path = SCRATCH / f"reached-{abs(hash(name))}"
    path.write_bytes(bytes(count + 1))
    began = time.monotonic()
    more = {"RATEL_MUTANTS_REACHED": str(path), "RATEL_MUTANTS_COUNT": str(count)}
    outcome = run_tests([name], more)
    marks = path.read_bytes()
    path.unlink()
    reached = {number for number in range(1, count + 1) if marks[number]}
    return {"outcome": outcome, "reached": reached, "seconds": time.monotonic() - began}


# One mutant.


def watch(mutant, tests, excuses):
    """Says at once what nobody notices: a run takes a quarter of an hour."""
    if equivalent.key(mutant) in excuses and "ALL" not in os.environ:
        return "equivalent"
    outcome = try_out(mutant, tests)
    if outcome in ("survived", "not reached"):
        print(describe(mutant, outcome), flush=True)
    return outcome


def try_out(mutant, tests):
    """`killed`, with what killed it, or `survived`, or `not reached`."""
    number = mutant["number"]
    # First the suites that are named like the file's folder or the file.
    places = mutant["file"].split("/")
    words = [places[-2], places[-1].removesuffix(".swift")]
    caught = CATCHES[mutant["file"]]
    reaching = sorted(
        (name for name in tests if number in tests[name]["reached"]),
        key=lambda name: (
            -caught[name], not any(word in name for word in words), tests[name]["seconds"]
        ),
    )
    if not reaching:
        return "not reached"
    # First what answers within seconds.
    for batch in batches(reaching, tests):
        outcome = run_tests(batch, {"RATEL_MUTANT": str(number)})
        if outcome.startswith("failed: "):
            caught.update(name for name in batch if name.endswith("/" + outcome[8:]))
        if outcome != "passed":
            return outcome
    return "survived"


def batches(names, tests):
    total, batch = 0, []
    for name in names:
        total += tests[name]["seconds"]
        if batch and total > 1.5:
            yield batch
            total, batch = tests[name]["seconds"], []
        batch.append(name)
    yield batch


def run_tests(names, more):
    """`passed`, or the first test that failed, or `crash`, or `timeout`; ends at the first."""
    pattern = "^(" + "|".join(re.escape(name) for name in names) + ")"
    words = [BINARY, "--testing-library", "swift-testing", "--filter", pattern]
    environment = dict(os.environ, RATEL_SHARED=SHARED, SWIFT_BACKTRACE="enable=no", **more)
    environment |= {"NO_COLOR": "1", "TERM": "dumb"}
    process = subprocess.Popen(
        [str(word) for word in words], cwd=COPY, env=environment, text=True, errors="replace",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
    timer = subprocess.Popen(["sleep", str(PATIENCE)])
    watcher = concurrent.futures.ThreadPoolExecutor(1)
    late = watcher.submit(kill_after, timer, process)
    failed = None
    for line in process.stdout:
        line = re.sub(r"\x1b\[[0-9;]*m", "", line)
        if line.startswith("✘"):
            failed = re.sub(r"^✘ Test (\S+).*\n?", r"\1", line)
            process.kill()
            break
    status = process.wait()
    timer.kill()
    watcher.shutdown()
    if failed:
        return f"failed: {failed}"
    if late.result():
        return "timeout"
    return "passed" if status == 0 else f"crash: {status}"


def kill_after(timer, process):
    if timer.wait() != 0:
        return False
    process.kill()
    return True


# What came of it.


def report(chosen, outcomes, excuses, skipped, seconds, is_part):
    counts = {"killed": 0, "survived": 0, "unreached": 0, "equivalent": 0, "abnormal": 0}
    lines = []
    for mutant, outcome in zip(chosen, outcomes):
        excuse = excuses.get(equivalent.key(mutant))
        if outcome in ("survived", "not reached", "equivalent"):
            if excuse:
                counts["equivalent"] += 1
                excuse["used"] = True
                continue
            counts["survived" if outcome == "survived" else "unreached"] += 1
            lines.append(describe(mutant, outcome))
        else:
            counts["killed"] += 1
            counts["abnormal"] += outcome == "timeout" or outcome.startswith("crash")
    if not is_part:
        lines += [
            f"listed as equivalent, but gone or killed: {excuse['line']}"
            for excuse in excuses.values() if not excuse["used"]
        ]
    outcomes = [(mutant, outcome) for mutant, outcome in zip(chosen, outcomes)]
    (SCRATCH / "outcomes.json").write_text(json.dumps(outcomes))
    print("\n".join(lines))
    print(
        f"{counts['killed']} killed ({counts['abnormal']} of them by a crash or a time limit), "
        f"{counts['survived']} survived, {counts['unreached']} not reachable, "
        f"{counts['equivalent']} equivalent, {skipped} skipped; {time_text(seconds)}"
    )
    print(f"{counts['killed']} passed, {len(lines)} failed")
    sys.exit(1 if lines else 0)


def describe(mutant, outcome):
    place = f"{mutant['file']}:{mutant['line']}"
    return (
        f"{outcome}: {place}: {mutant['kind']} {mutant['text']} ({mutant['change']})"
        f" -> {mutant['refusal']}"
    )


class Done:
    def __init__(self, returncode, stdout, seconds):
        self.returncode, self.stdout, self.seconds = returncode, stdout, seconds


def run(words, cwd=ROOT):
    began = time.monotonic()
    environment = dict(os.environ, RATEL_SHARED=SHARED)
    done = subprocess.run(
        [str(word) for word in words], cwd=cwd, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
    return Done(done.returncode, done.stdout, time.monotonic() - began)


def time_text(seconds):
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def fail(text):
    print(text)
    print("0 passed, 1 failed")
    sys.exit(1)


if __name__ == "__main__":
    main()
