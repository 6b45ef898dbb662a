"""Real clients through two Ratels to a real vLLM; run by `make vllm`.

run.py RATEL [--direct]     --direct leaves the Ratels out: what the tests say of vLLM alone
                                (chat_stream_http10 then fails: vLLM chunks for HTTP/1.0)
"""

import contextlib
import importlib.metadata
import pathlib
import subprocess
import sys
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "EndToEnd"))

from harness import Stack, scratch  # noqa: E402
from replay import replay  # noqa: E402
from sdk import Checks  # noqa: E402
from server import Server  # noqa: E402
from shapes import CAPTURES  # noqa: E402


def main():
    ratel, direct = sys.argv[1], "--direct" in sys.argv
    versions(ratel, direct)
    passed, failed = [], []
    for unix in (False,) if "--tcp" in sys.argv else (False, True):
        with scratch() as directory, Server(directory, unix) as server:
            started = time.monotonic()
            server.wait()
            print(
                f"== vLLM over {'a Unix socket' if unix else 'TCP'}, "
                f"ready in {time.monotonic() - started:.0f} s",
                flush=True,
            )
            for name, verdict in against(ratel, server, direct):
                (failed if verdict else passed).append(name)
    for name in failed:
        print(f"failed: {name}")
    print(f"{len(passed)} passed, {len(failed)} failed")
    sys.exit(1 if failed else 0)


def against(ratel, server, direct):
    """Every check against one server, as (name, what was wrong or "")."""
    backend = f"unix:{server.path}" if server.path else f"http://127.0.0.1:{server.port}"
    own = {"path": server.path} if server.path else {"port": server.port}
    with contextlib.nullcontext() if direct else Stack(ratel, backend) as stack:
        through = own if direct else {"port": stack.port}
        results = []
        if not server.path:
            results += run_checks(Checks(server, through["port"]))
        if CAPTURES.is_dir():
            results += replay(own, through, unix=bool(server.path))
        else:
            print(f"  no recorded requests at {CAPTURES}: not replayed")
        if stack:
            print(stack.serve.text()[-1500:] if any(bad for _, bad in results) else "", end="")
        return results


def run_checks(checks):
    results = []
    for name in [name for name in dir(checks) if name.startswith("test_")]:
        started = time.monotonic()
        try:
            getattr(checks, name)()
            results.append((name, ""))
        except Exception as error:
            traceback.print_exc(limit=-3)
            results.append((name, repr(error)))
        verdict = "failed" if results[-1][1] else "passed"
        print(f"  {name} {verdict} ({time.monotonic() - started:.2f} s)", flush=True)
    return results


def versions(ratel, direct):
    names = ["vllm", "torch", "uvicorn", "openai", "anthropic", "httpx"]
    said = [f"{name} {importlib.metadata.version(name)}" for name in names]
    tpm = subprocess.run(["swtpm", "--version"], capture_output=True, text=True).stdout
    said.append(tpm.split(",")[0].strip().replace("TPM emulator version", "swtpm"))
    if not direct:
        done = subprocess.run([ratel, "--version"], capture_output=True, text=True)
        said.append(f"ratel {done.stdout.strip()}")
    print(", ".join([f"Python {sys.version.split()[0]}", *said]), flush=True)


if __name__ == "__main__":
    main()
