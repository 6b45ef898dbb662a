"""Holds what a streamed token costs in `ratel serve` and `ratel connect` to thresholds that are
counts, never times: instructions in user space, by cachegrind, and system calls, by strace.

usage: gate.py RATEL      the optimised build
"""

import contextlib
import pathlib
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "Support"))

import counts  # noqa: E402
from counting import stripped  # noqa: E402
from harness import ANONYMOUS, SIMULATED, Process, free_port  # noqa: E402
from lockstep import Backend  # noqa: E402

# Counted with OpenSSL 3.0.19, libuv 1.44.2 and nghttp2 1.52.0 on x86-64: 12,550 for serve, 11,840
# without padding, and 17,030 for connect, which speaks HTTP/2 to its server and takes the padding
# off (15,700 where there is none), the same within 1 % from run to run. The limits are 15 % above,
# since OpenSSL takes other paths on other processors and between its patches. A build that needs
# less lowers them with it.
UNPADDED = "serve --padding off"
INSTRUCTIONS = {"serve": 14_400, UNPADDED: 13_600, "connect": 19_500}
# One wait, one read and one write for each token, and a fifth for timers where a machine is slow.
SYSTEM_CALLS = 3.2


def main():
    passed = failed = 0
    with contextlib.ExitStack() as stack:
        ratel = stack.enter_context(stripped(sys.argv[1]))
        directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ratel-")))
        backend = stack.enter_context(Backend())
        shapes = {"serve": serve(ratel, directory, backend),
                  UNPADDED: serve(ratel, directory, backend, "none", "--padding", "off"),
                  "connect": connect(ratel, directory, backend, stack)}
        for name, (command, port, plain) in shapes.items():
            count = counts.instructions(command, port, backend, directory, plain)
            calls = counts.system_calls(command, port, backend, directory, plain)
            for what, value, limit in (("instructions", count, INSTRUCTIONS[name]),
                                       ("system calls", calls, SYSTEM_CALLS)):
                if value is None:
                    print(f"skipped: {what} of {name}, since nothing may be traced here")
                    continue
                good = value <= limit
                passed, failed = passed + good, failed + (not good)
                print(f"{'' if good else 'FAILED '}{name}: {value:.2f} {what} per streamed token, "
                      f"at most {limit}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def serve(ratel, directory, backend, attester="none", *words):
    """The command, its port, and whether its callers speak plaintext."""
    policy = directory / "anonymous.yaml"
    policy.write_text(ANONYMOUS)
    port = free_port()
    return [ratel, "serve", "--listen", f"127.0.0.1:{port}", "--attester", attester,
            "--backend", f"http://127.0.0.1:{backend.port}",
            "--policy", policy, *COMMON, *words], port, False


def connect(ratel, directory, backend, stack):
    """In front of a `serve` that runs uncounted."""
    policy = directory / "simulated.yaml"
    policy.write_text(SIMULATED)
    command, server, _ = serve(ratel, directory, backend, "simulated")
    stack.enter_context(Process("behind", command, directory)).wait_for_port(server)
    port = free_port()
    return [ratel, "connect", f"127.0.0.1:{server}", "--listen", f"127.0.0.1:{port}",
            "--policy", policy, *COMMON], port, True


COMMON = ["--workers", "1", "--admin", "off"]

if __name__ == "__main__":
    sys.exit(main())
