"""Heap allocations and reference counting per relayed read, in steady state: the law is zero.

A real `ratel serve` and a real `ratel connect` (release builds) relay one stream, one event at a
time, in each direction, and so do a `ratel proxy`, routed and as a passthrough, and a sidecar that
meters with a router before it, with the heap and Swift's reference counting counted by counters.c.
The thresholds below are the whole allowance, per 1,000 reads, for what happens beside the data path
(one timer a second).

Usage: run.py RATEL
"""
import json
import mmap
import os
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time

import metered

# Of one window: some 0.2 s, since two timers fire each second and most windows have to miss both.
READS = 1000
WARM_UP = 300
# Tokens of one tick of 50 ms. Ten ticks are a window, since files are looked at each second.
TICKING = 40
# Per 1,000 reads: allocations, retains, releases. The main thread's timers of one second touch a
# few objects each time they fire; on the data path the allowance is nothing.
ALLOWANCE = (0, 20, 20)
EVENT = b"data: " + b"x" * 290 + b"\n\n"


def build(directory):
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "counters.c")
    library = os.path.join(directory, "counters.so")
    # preserve_most is clang's; the Swift toolchain brings one.
    swift = os.path.realpath(subprocess.check_output(["which", "swift"], text=True).strip())
    clang = os.path.join(os.path.dirname(swift), "clang")
    subprocess.check_call([clang, "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"])
    return library


class Counted:
    def __init__(self, command, directory, name, library):
        path = os.path.join(directory, name + ".counters")
        with open(path, "wb") as file:
            file.write(bytes(24))
        environment = dict(os.environ, LD_PRELOAD=library, RATEL_COUNTERS=path)
        self.log = open(os.path.join(directory, name + ".log"), "w")
        self.process = subprocess.Popen(command, env=environment, stderr=self.log)
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 24)
        self.name = name

    def counts(self):
        return struct.unpack("3q", self.map[:24])


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"nothing listens at {port}")


def read_exactly(connection, count):
    received = b""
    while len(received) < count:
        piece = connection.recv(65536)
        if not piece:
            raise SystemExit("the connection ended")
        received += piece
    return received


def read_head(connection):
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(1)
        if not piece:
            raise SystemExit("the connection ended")
        received += piece
    return received


def measure(processes, step, together):
    """The least of some windows: what a read costs is in each, what a timer costs in one."""
    for _ in range(WARM_UP // together):
        step()
    count, steps = (12, READS) if together == 1 else (6, 10)
    windows = (window(processes, step, steps, together) for _ in range(count))
    return [min(found) for found in zip(*windows)]


def window(processes, step, steps, together):
    before = [process.counts() for process in processes]
    for _ in range(steps):
        step()
    after = [process.counts() for process in processes]
    return [
        tuple((late - early) * 1000 / (steps * together) for early, late in zip(first, last))
        for first, last in zip(before, after)
    ]


def main():
    ratel = sys.argv[1]
    failures = 0
    with tempfile.TemporaryDirectory() as directory:
        library = build(directory)
        policy = os.path.join(directory, "policy.yaml")
        with open(policy, "w") as file:
            file.write(
                "version: 1\npeers:\n  - name: test\n    simulated: true\n"
                "    require: {simulated: 1}\n"
            )
        backend = socket.socket()
        backend.bind(("127.0.0.1", 0))
        backend.listen(16)
        serve_port, connect_port = free_port(), free_port()
        common = ["--policy", policy, "--attester", "simulated", "--workers", "1"]
        processes = [
            Counted(
                [ratel, "serve", "--listen", f"127.0.0.1:{serve_port}", "--admin", "off",
                 "--backend", f"http://127.0.0.1:{backend.getsockname()[1]}"] + common,
                directory, "serve", library),
        ]
        try:
            wait_for(serve_port)
            processes.append(
                Counted(
                    [ratel, "connect", f"127.0.0.1:{serve_port}",
                     "--listen", f"127.0.0.1:{connect_port}"] + common,
                    directory, "connect", library))
            wait_for(connect_port)
            failures += relay(connect_port, backend, processes)
        finally:
            for process in processes:
                process.process.terminate()
                process.process.wait()
        failures += over_tls(ratel, directory, library, backend)
        failures += over_tls(ratel, directory, library, backend, TICKING, "--padding", "tick")
        failures += through_proxy(ratel, directory, library, backend)
        failures += metered.measured(sys.modules[__name__], ratel, directory, library)
    print(f"{15 - failures} passed, {failures} failed")
    return 1 if failures else 0


def over_tls(ratel, directory, library, backend, together=1, *words):
    """`serve` before a caller of HTTP/1.1: `connect` speaks HTTP/2."""
    port, policy = free_port(), os.path.join(directory, "anonymous.yaml")
    with open(policy, "w") as file:
        file.write("version: 1\npeers: anonymous\n")
    process = Counted(
        [ratel, "serve", "--listen", f"127.0.0.1:{port}", "--admin", "off", "--policy", policy,
         "--backend", f"http://127.0.0.1:{backend.getsockname()[1]}", "--attester", "none",
         "--workers", "1", *words], directory, " ".join(("serve over HTTP1", *words)), library)
    try:
        wait_for(port)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return relay(port, backend, [process], context.wrap_socket, together)
    finally:
        process.process.terminate()
        process.process.wait()


def through_proxy(ratel, directory, library, backend):
    ports = free_port(), free_port()
    path = os.path.join(directory, "proxy.yaml")
    listeners = [
        {"name": "routed", "address": f"127.0.0.1:{ports[0]}", "protection": "plain"},
        {"name": "tunnel", "address": f"127.0.0.1:{ports[1]}", "protection": "passthrough",
         "backends": ["a"]}]
    target = {"name": "a", "address": f"127.0.0.1:{backend.getsockname()[1]}",
              "protection": "plain", "health": {"interval": "1h"}}
    with open(path, "w") as file:
        json.dump({"version": 1, "workers": 1, "admin": "off", "listeners": listeners,
                   "backends": [target], "routes": [
                       {"name": "all", "match": "any", "backends": ["a"], "access": "any"}]}, file)
    failures = 0
    for name, port in zip(("proxy", "passthrough"), ports):
        process = Counted([ratel, "proxy", "--config", path], directory, name, library)
        try:
            wait_for(port)
            failures += relay(port, backend, [process])
        finally:
            process.process.terminate()
            process.process.wait()
    return failures


def relay(port, backend, processes, protect=lambda caller: caller, together=1):
    """One request and its answer through `processes`, an event at a time, or so many together;
    counts failures."""
    caller = protect(socket.create_connection(("127.0.0.1", port)))
    caller.sendall(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        # Readiness probes connect too, and say nothing.
        served, _ = backend.accept()
        served.settimeout(5)
        if served.recv(1, socket.MSG_PEEK):
            break
    read_head(served)
    for end in (caller, served):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    chunk = b"%x\r\n%s\r\n" % (len(EVENT), EVENT)

    def upload():
        for _ in range(together):
            caller.sendall(chunk)
            read_exactly(served, len(chunk))

    failures = report("request", processes, measure(processes, upload, together))
    caller.sendall(b"0\r\n\r\n")
    read_exactly(served, 5)
    served.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                   b"Transfer-Encoding: chunked\r\n\r\n")
    read_head(caller)

    def download():
        for _ in range(together):
            served.sendall(chunk)
        read_exactly(caller, together * len(chunk))

    failures += report("answer", processes, measure(processes, download, together))
    caller.close()
    served.close()
    return failures


def report(direction, processes, results):
    failures = 0
    for process, result in zip(processes, results):
        allocations, retains, releases = result
        within = all(value <= limit for value, limit in zip(result, ALLOWANCE))
        failures += not within
        print(
            f"{'ok  ' if within else 'FAIL'} {direction} through {process.name}: per 1,000 reads "
            f"{allocations:.2f} allocations, {retains:.2f} retains, {releases:.2f} releases")
    return failures


if __name__ == "__main__":
    threading.stack_size(256 * 1024)
    sys.exit(main())
