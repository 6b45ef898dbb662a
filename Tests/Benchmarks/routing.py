"""What the confidential router costs a request and an event, beside others on the same work.

routing.py [--repetitions N] [--seconds S] RATEL

In each repetition each subject gets each load in turn, so that ratios are between neighbours in
time: nginx (TLS and HTTP/2 in front, plaintext behind), `serve` as a relay, `serve` as a provider
that meters and signs, `route` in front of that provider, and LiteLLM's proxy where
.build/litellm/bin/litellm is there (`make bench-router` installs it). CPU is that of the subject
alone, from /proc; for `route` the provider's own is printed beside it. Medians are printed, and
written to .build/bench/routing.json.

The loads: `single`, each event in a read of its own, 10,000 events/s; `many`, 25 events a read,
100,000 events/s over 16 connections with 2,000 streams; `requests`, 200 a second with one event
each; and `ceiling`, as fast as it goes. What an event costs the router follows from how many come
in a read: that is printed for 5 to 44 of them, at 100,000 events/s each.
"""

import argparse
import contextlib
import hashlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "EndToEnd"))
sys.path.insert(0, str(HERE.parent / "Support"))

import tools  # noqa: E402
from harness import ANONYMOUS, SIMULATED, Process, free_port, wait_until  # noqa: E402

KEY = "sk-0123456789abcdef0123456789abcdef"  # What the load client sends.
OUT = tools.ROOT / ".build" / "bench"
LITELLM = tools.ROOT / ".build" / "litellm" / "bin" / "litellm"
SEED = 1_388_889  # Tokens a second of the seed's day.
PATH = "/v1/chat/completions"
# Events a read; 44 are what the prototypes of the data plane relay at a time (dataplane.md).
BATCHES = (5, 10, 25, 44)
NGINX = """daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr error;
events {{ worker_connections 8192; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream engine {{ server 127.0.0.1:{engine}; keepalive 4096; }}
  server {{
    listen 127.0.0.1:{port} ssl http2; http2_max_concurrent_streams 256; keepalive_requests 1000000;
    ssl_certificate {folder}/leaf.pem; ssl_certificate_key {folder}/leaf.key;
    ssl_protocols TLSv1.3;
    location / {{ proxy_pass http://engine; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off; proxy_read_timeout 600s; }}
  }}
}}
"""


class Bench:
    """Every subject, started once, pinned to the first core; engine and load have the other."""

    def __init__(self, ratel, folder, stack):
        self.ratel, self.folder, self.stack = ratel, pathlib.Path(folder), stack
        self.engine = free_port()
        engine = self.build("engine", [HERE / "engine" / "engine.c"])
        self.load = tools.build("h2cli", OUT)
        self.run("engine", [engine, self.engine, 1], self.engine, core=1)
        self.anonymous = self.file("anonymous.yaml", ANONYMOUS)
        self.subjects = {}

    def build(self, name, sources):
        program = OUT / name
        subprocess.run([tools.compiler(), *tools.OWN, "-o", program, *sources], check=True)
        return program

    def file(self, name, text):
        path = self.folder / name
        path.write_text(text if isinstance(text, str) else json.dumps(text))
        return path

    def run(self, name, command, port, core=0, environment=None):
        process = Process(name, ["taskset", "-c", core, *command], self.folder, environment)
        self.stack.enter_context(process)
        process.wait_for_port(port, 120)
        return process.pid

    def serve(self, name, *words, core=0):
        port = free_port()
        pid = self.run(name, [
            self.ratel, "serve", "--workers", 1, "--listen", f"127.0.0.1:{port}", "--admin", "off",
            "--backend", f"http://127.0.0.1:{self.engine}", "--policy", self.anonymous,
            "--attester", "simulated", *words], port, core)
        return port, pid

    def start(self):
        offers = self.file("offers.yaml", {"version": 1, "models": [{
            "id": "m", "weights": "11" * 32, "price": {"in": 1, "out": 2}, "context": 1_000_000,
            "capacity": {"tpm": 10 ** 12, "streams": 100_000}, "region": "x",
            "retention": "none"}]})
        self.subjects["serve"] = self.serve("serve")
        self.subjects["provider"] = self.serve("provider", "--offers", offers)
        # The router has its core to itself like the others, not with the provider behind it.
        self.route(self.serve("behind", "--offers", offers, core=1)[0])
        self.nginx()

    def route(self, provider):
        port, admin = free_port(), free_port()
        self.file("simulated.yaml", SIMULATED)
        pid = self.run("route", [
            self.ratel, "route", "--workers", 1, "--listen", f"127.0.0.1:{port}", "--admin",
            f"127.0.0.1:{admin}", "--policy", self.anonymous, "--attester", "simulated",
            "--state", self.folder / "state", "--providers", self.file("route.yaml", {
                "version": 1, "providers": [{
                    "name": "one", "policy": "simulated.yaml",
                    "address": f"127.0.0.1:{provider}"}],
                "keys": [{"name": "load", "billing": "postpaid",
                          "sha256": hashlib.sha256(KEY.encode()).hexdigest()}]})], port)

        def is_ready():
            with contextlib.suppress(OSError):
                return urllib.request.urlopen(f"http://127.0.0.1:{admin}/readyz").status == 200

        wait_until(is_ready, 60, "an admitted provider")
        self.subjects["route"] = (port, pid)

    def nginx(self):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "2", "-subj", "/CN=llm.example", "-keyout",
             self.folder / "leaf.key", "-out", self.folder / "leaf.pem"],
            check=True, capture_output=True)
        port = free_port()
        path = self.file("nginx.conf", NGINX.format(
            folder=self.folder, engine=self.engine, port=port))
        with contextlib.suppress(FileNotFoundError, AssertionError):
            self.subjects["nginx"] = (
                port, self.run("nginx", ["nginx", "-p", self.folder, "-c", path], port))

    def litellm(self):
        port = free_port()
        config = self.file("litellm.yaml", {
            "model_list": [{"model_name": "m", "litellm_params": {
                "model": "openai/m", "api_key": KEY,
                "api_base": f"http://127.0.0.1:{self.engine}/v1"}}],
            "general_settings": {"master_key": KEY}})
        pid = self.run(
            "litellm", [LITELLM, "--config", config, "--port", port, "--host", "127.0.0.1",
                        "--num_workers", 1, "--telemetry", "False"], port,
            environment={"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"})
        return port, pid

    def drive(self, name, *words, beside=None):
        port, pid = self.subjects[name]
        before = cpu_of(beside) if beside else 0
        done = subprocess.run(
            [str(word) for word in (self.load, "-c", 1, "-p", port, "-P", pid, *words)],
            capture_output=True, text=True, timeout=180)
        figures = json.loads(done.stdout.strip().splitlines()[-1])
        assert not figures["err"], done.stderr[-400:]
        figures["beside_s"] = cpu_of(beside) - before if beside else 0
        return figures


def cpu_of(pid):
    """CPU seconds of a process with the children that it has waited for."""
    total = 0
    for one in [pid, *children(pid)]:
        with contextlib.suppress(OSError):
            fields = pathlib.Path(f"/proc/{one}/stat").read_text().rsplit(") ", 1)[1].split()
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def children(pid):
    with contextlib.suppress(OSError):
        return [int(word) for word in
                pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def per_event(bench, name, seconds, connections, streams, rate, batch):
    figures = bench.drive(
        name, "-m", "stream", "-C", connections, "-M", streams, "-d", seconds, "-w", 2,
        "-r", f"{PATH}?rate={rate}&n=0&batch={batch}")
    return figures["us_per_unit"], figures["tok_s"]


def per_request(bench, name, seconds):
    """Microseconds of a request with one event, the event's own included."""
    figures = bench.drive(
        name, "-m", "rate", "-q", 200, "-C", 8, "-d", seconds, "-w", 2, "-n", 1,
        "-r", f"{PATH}?rate=0&n=1")
    return figures["proxy_cpu_s"] / max(1, figures["reqs"]) * 1e6


def ceiling(bench, name, seconds):
    figures = bench.drive(
        name, "-m", "stream", "-C", 16, "-M", 125, "-d", seconds, "-w", 2,
        "-r", f"{PATH}?rate=0&n=0&batch=64")
    return figures["tok_s"]


def litellm_costs(bench):
    """CPU of LiteLLM's proxy for a request and for an event, from answers of two lengths."""
    port, pid = bench.litellm()
    body = json.dumps({"model": "m", "stream": True, "messages": [
        {"role": "user", "content": "count"}]}).encode()

    def ask():
        # The engine counts by the query, which the proxy does not pass on: 16 events as a rule.
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}{PATH}", body,
            {"authorization": f"Bearer {KEY}", "content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read().count(b"data: ")

    ask()
    before, count, pieces, lock = cpu_of(pid), 0, 0, threading.Lock()

    def work():
        nonlocal count, pieces
        for _ in range(25):
            found = ask()
            with lock:
                count, pieces = count + 1, pieces + found

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent = cpu_of(pid) - before
    return spent / count * 1e6, spent / pieces * 1e6


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("ratel", type=pathlib.Path)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5)
    options = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ratel-") as folder, contextlib.ExitStack() as stack:
        bench = Bench(options.ratel.resolve(), folder, stack)
        bench.start()
        found = {name: {"single": [], "many": [], "requests": [], "ceiling": []}
                 for name in bench.subjects}
        for number in range(options.repetitions):
            for name, results in found.items():
                results["single"].append(per_event(bench, name, options.seconds, 4, 100, 25, 1)[0])
                results["many"].append(per_event(bench, name, options.seconds, 16, 125, 50, 25)[0])
                results["requests"].append(per_request(bench, name, options.seconds))
                if number == 0:
                    results["ceiling"].append(ceiling(bench, name, options.seconds))
            print(f"repetition {number + 1} of {options.repetitions}", flush=True)
        by_batch = {batch: statistics.median(
            per_event(bench, "route", options.seconds, 16, 125, 50, batch)[0]
            for _ in range(options.repetitions)) for batch in BATCHES}
        medians = {name: {load: statistics.median(values) for load, values in results.items()}
                   for name, results in found.items()}
        if LITELLM.exists():
            request, event = litellm_costs(bench)
            medians["litellm"] = {"single": event, "requests": request}
        show(medians, found, by_batch)
        (OUT / "routing.json").write_text(json.dumps(
            {"medians": medians, "route_by_batch": by_batch, "all": found}, indent=1))


def show(medians, found, by_batch):
    print("\nmedians of CPU of the subject alone, in microseconds")
    print(f"{'':10} {'event, alone':>14} {'event, 25 a read':>17} {'request':>10} {'ceiling':>14}")
    for name, row in medians.items():
        cells = [f"{row[load]:.2f}" if load in row else "-" for load in ("single", "many")]
        most = f"{row['ceiling']:,.0f}/s" if "ceiling" in row else "-"
        print(f"{name:10} {cells[0]:>14} {cells[1]:>17} {row['requests']:>10.0f} {most:>14}")
    route, provider = medians["route"], medians["provider"]
    for load, words in (("single", "each alone"), ("many", "25 a read")):
        ratios = [a / b for a, b in zip(found["route"][load], found["provider"][load])]
        print(f"route / provider, event, {words}: {statistics.median(ratios):.2f} "
              f"(aim 1.5; {min(ratios):.2f} to {max(ratios):.2f})")
    print(f"route, event, 25 a read, 100,000/s: {route['many']:.2f} us (aim 2); by events a read: "
          + ", ".join(f"{batch}: {cost:.2f}" for batch, cost in by_batch.items()))
    print(f"ceiling of route with provider, engine and load on this machine: "
          f"{route['ceiling']:,.0f} events/s, {route['ceiling'] / SEED:.2f} of the seed's "
          f"{SEED:,}; "
          f"one core of route alone, by its cost: {1e6 / route['many']:,.0f}")
    print(f"provider's ceiling: {provider['ceiling']:,.0f} events/s")
    if "litellm" in medians:
        other = medians["litellm"]
        print(f"LiteLLM / route: request {other['requests'] / route['requests']:.1f}, "
              f"event {other['single'] / route['single']:.0f} "
              f"(its request has 16 events, over which its event is divided)")


if __name__ == "__main__":
    main()
