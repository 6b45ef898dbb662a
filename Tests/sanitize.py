"""The Swift tests under the address sanitizer, then the thread sanitizer, each in its own build.

sanitize.py [address|thread] [FILTER]
"""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def main():
    kinds = sys.argv[1:2] or ["address", "thread"]
    filters = ["--filter", sys.argv[2]] if len(sys.argv) > 2 else []
    failed = [kind for kind in kinds if not run(kind, filters)]
    print(f"{len(kinds) - len(failed)} passed, {len(failed)} failed")
    sys.exit(1 if failed else 0)


def run(kind, filters):
    print(f"== {kind}", flush=True)
    # Swift's own backtracer would wait for a terminal in the middle of a report.
    environment = dict(os.environ, SWIFT_BACKTRACE="enable=no")
    # The C++ and Swift runtimes are not instrumented, so containers cannot be followed into them.
    environment["ASAN_OPTIONS"] = "detect_leaks=0:detect_container_overflow=0"
    environment["TSAN_OPTIONS"] = f"suppressions={ROOT}/Tests/tsan.txt:halt_on_error=0"
    words = ["swift", "test", f"--sanitize={kind}", "--scratch-path", f".build-{kind[0]}san"]
    done = subprocess.run(
        words + filters, cwd=ROOT, env=environment, text=True, capture_output=True
    )
    output = done.stdout + done.stderr
    reports = [line for line in output.splitlines() if "Sanitizer" in line]
    closing = [line for line in output.splitlines() if "Test run with" in line]
    print("\n".join(closing[-1:] + reports[:20]), flush=True)
    if done.returncode != 0 or reports:
        print(output[-8000:])
        return False
    return bool(filters) or run_command(kind, environment)


def run_command(kind, environment):
    """The end-to-end suites against a sanitized command; the harness looks for reports."""
    scratch = f".build-{kind[0]}san"
    build = ["swift", "build", f"--sanitize={kind}", "--scratch-path", scratch]
    build += ["--product", "ratel"]
    if subprocess.run(build, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL).returncode:
        return False
    suites = [
        "test_attacks", "test_captures", "test_failures", "test_http2", "test_leases",
        "test_malformed", "test_open_connections", "test_passthrough", "test_proxy",
        "test_proxy_limits", "test_proxy_reload", "test_proxy_sides", "test_proxying",
        "test_signals", "test_tokens", "test_wellknown",
    ]
    command = [sys.executable, "Tests/EndToEnd/run.py", f"{ROOT}/{scratch}/debug/ratel", *suites]
    environment["RATEL_TEST_SANITIZED"] = "1"
    done = subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True)
    lines = done.stdout.splitlines()
    print("\n".join(["end-to-end: " + line for line in lines[-1:]]), flush=True)
    if done.returncode != 0:
        print(done.stdout[-8000:] + done.stderr[-4000:])
    return done.returncode == 0


if __name__ == "__main__":
    main()
