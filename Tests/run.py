"""Runs every suite on one debug build and adds up; the last line is `N passed, N failed`.

run.py [SUITE ...]        suites: swift tidy differential scenarios evidence end-to-end attacks
                          chart allocations worst instructions load
"""

import pathlib
import re
import subprocess
import sys
import xml.etree.ElementTree as XML

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / ".build"
COUNT = re.compile(r"^(\d+) passed, (\d+) failed$")


def main():
    suites = {
        "swift": swift_tests,
        "tidy": lambda: script(
            "Tests/Tidy/test_tidy.py",
            "Tests/Tidy/tidy.py",
            ("Tests/Tidy/checks.py", "--check"),
        ),
        "differential": lambda: script(
            ("Tests/Differential/differential.py", BUILD / "debug" / "HTTPProbe"),
            ("Tests/Differential/quotes.py", BUILD / "debug" / "ratel", 200),
            ("Tests/Differential/evidence.py", BUILD / "debug" / "ratel", 200),
        ),
        "scenarios": lambda: script(("Tests/Scenarios/run.py", BUILD / "debug" / "ratel")),
        "evidence": lambda: script(
            ("Tests/Evidence/run.py", BUILD / "debug" / "ratel"),
            ("Tests/Evidence/tiers.py", BUILD / "debug" / "ratel"),
            ("Tests/Evidence/files.py", BUILD / "debug" / "ratel"),
            ("Tests/Evidence/results.py", BUILD / "debug" / "ratel"),
            ("Tests/Evidence/transcripts.py", BUILD / "debug" / "ratel"),
        ),
        "end-to-end": lambda: script(("Tests/EndToEnd/run.py", BUILD / "debug" / "ratel")),
        "attacks": lambda: script(("Tests/Attacks/run.py", BUILD / "debug" / "ratel")),
        "chart": lambda: script(("Tests/Chart/run.py", BUILD / "debug" / "ratel")),
        "allocations": allocations,
        "worst": worst,
        "instructions": instructions,
        "load": lambda: script(
            "Tests/Benchmarks/test_h2cli.py", "Tests/Benchmarks/test_verdicts.py"),
    }
    chosen = sys.argv[1:] or list(suites)
    if command(["swift", "build", "--build-tests"]) != 0:
        print("the build failed")
        finish(0, 1)
    passed = failed = 0
    for name in chosen:
        print(f"== {name}", flush=True)
        good, bad = suites[name]()
        passed, failed = passed + good, failed + bad
    print(f"== all of {', '.join(chosen)}")
    finish(passed, failed)


def finish(passed, failed):
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


def command(words):
    return subprocess.run([str(word) for word in words], cwd=ROOT).returncode


def swift_tests():
    """Shows what failed and the closing line, of thousands of lines."""
    report = BUILD / "xunit.xml"
    detailed = BUILD / "xunit-swift-testing.xml"
    detailed.unlink(missing_ok=True)
    words = ["swift", "test", "--skip-build", "--xunit-output", str(report)]
    process = subprocess.Popen(
        words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    tail = []
    for line in process.stdout:
        if re.match(r"[✘➜↳]|.*Test run with|.*[Ff]atal error|.*skipped", line):
            print("  " + line.rstrip()[:500], flush=True)
        tail = (tail + [line])[-30:]
    status = process.wait()
    if not detailed.exists():
        print("".join(tail))
        return 0, 1  # It crashed before it could report.
    suite = XML.parse(detailed).getroot().find("testsuite")
    failed = int(suite.get("failures")) + int(suite.get("errors", 0))
    skipped = int(suite.get("skipped", 0))
    passed = int(suite.get("tests")) - failed - skipped
    if status != 0 and failed == 0:
        print("".join(tail))
        failed = 1
    print(f"  {passed} passed, {failed} failed, {skipped} skipped", flush=True)
    return passed, failed


def allocations():
    """Counted on the optimised build: the law is about the code that serves."""
    if command(["swift", "build", "-c", "release", "--product", "ratel"]) != 0:
        return 0, 1
    return script(("Tests/Allocations/run.py", BUILD / "release" / "ratel"))


def worst():
    """Counted on the optimised build too."""
    if command(["swift", "build", "-c", "release", "--product", "ratel"]) != 0:
        return 0, 1
    return script(("Tests/Evidence/worst.py", BUILD / "release" / "ratel"))


def instructions():
    """And what a streamed token costs on it."""
    if command(["swift", "build", "-c", "release", "--product", "ratel"]) != 0:
        return 0, 1
    return script(("Tests/Benchmarks/gate.py", BUILD / "release" / "ratel"))


def script(*scripts):
    """Runs Python scripts, each of which ends with a line that counts."""
    passed = failed = 0
    for words in scripts:
        words = words if isinstance(words, tuple) else (words,)
        process = subprocess.Popen(
            [sys.executable, "-u", *map(str, words)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        counted = None
        for line in process.stdout:
            print("  " + line.rstrip(), flush=True)
            counted = COUNT.match(line.rstrip()) or counted
        status = process.wait()
        good, bad = map(int, counted.groups()) if counted else (0, 1)
        passed, failed = passed + good, failed + (bad or (1 if status else 0))
    return passed, failed


if __name__ == "__main__":
    main()
