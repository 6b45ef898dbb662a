"""How fast attested connections open where a quote takes its time, beside plain mutual TLS.

Usage: admissions.py [--repetitions N] RATEL CHANNELBENCH

`ratel serve` runs on one core with a software TPM whose quotes are held back to 40 ms and to
1,000 ms, one at a time; a load client on the other core opens connections and closes them, as many
at once as two quotes' time lets wait. In turn, in each repetition:

  mutual TLS      TLS 1.3, ECDSA P-256 on both sides, no resumption; nothing attested
  evidence, … ms  every connection gets Evidence over itself, by quotes of that length
  lease           every connection gets a lease, after one quote

The load client verifies nothing, so that the server is what is measured; what both ends cost
together, appraisal included, is ChannelBench's to say: both ends in one process, no sockets.
Where the loader's core is full, connections/s are the loader's and not the server's.
Ratios are of neighbours in one repetition, medians with the spread behind them.
"""

import argparse
import contextlib
import json
import pathlib
import statistics
import subprocess
import sys

import tools
from machine import LOAD_CORE, PROXY_CORE, facts, pinned
from subjects import make_certificate

from harness import ANONYMOUS, Process, free_port, scratch, software_tpm  # noqa: I001
from slow_tpm import SlowTPM

OUT = tools.ROOT / ".build" / "bench"
SECONDS, WARM = 6, 3
# Connections at once: 2,000 a second for as long as two quotes take (at least 50 ms each, since
# there are 20 a second), and some to spare.
WAYS = {
    "mutual TLS": (0.0, 16, []),
    "evidence, 40 ms": (0.04, 1_024, ["-A"]),
    "evidence, 1000 ms": (1.0, 6_000, ["-A"]),
    "lease": (0.04, 16, ["-L"]),
}
BASE = "mutual TLS"
MUTUAL = "version: 1\npeers: [{name: any, simulated: true}]\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("ratel", type=pathlib.Path)
    parser.add_argument("bench", type=pathlib.Path)
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    (OUT / "conf").mkdir(parents=True, exist_ok=True)
    client = tools.build("h2cli", OUT)
    make_certificate(OUT / "conf")
    runs = {way: [] for way in WAYS}
    for repetition in range(options.repetitions):
        for way in WAYS:
            run = measure(options.ratel.resolve(), client, way)
            runs[way].append(run)
            print(f"{repetition} {way:18} {run['hs_s']:7.0f}/s {run['cpu_us']:7.0f} µs of the "
                  f"server, {run['quotes']} quotes, {run['err']} errors", flush=True)
    text = document(runs, channel(options.bench.resolve()), options.ratel)
    (OUT / "admissions.md").write_text(text)
    print("\n" + text)
    return 1 if any(run["err"] for each in runs.values() for run in each) else 0


def measure(ratel, client, way):
    seconds, at_once, words = WAYS[way]
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(scratch()))
        tpm = stack.enter_context(software_tpm(folder))
        slow = stack.enter_context(SlowTPM(folder, folder / "swtpm.sock", seconds))
        policy = folder / "policy.yaml"
        # Mutual TLS is what a server that wants Evidence of its callers speaks before any.
        policy.write_text(MUTUAL if way == BASE else ANONYMOUS)
        port = free_port()
        serve = stack.enter_context(Process("serve", pinned(PROXY_CORE, [
            ratel, "serve", "--listen", f"127.0.0.1:{port}", "--workers", "1", "--backend",
            "http://127.0.0.1:9", "--policy", policy, "--admin", "off", "--attester", "tpm",
            "--tcti", slow.tcti]), folder))
        serve.wait_for_port(port)
        before = slow.quotes
        done = subprocess.run(pinned(LOAD_CORE, [
            client, "-m", "hs", "-p", port, "-c", LOAD_CORE, "-C", at_once, "-o", at_once,
            "-M", 1, "-1",
            "-P", serve.pid, "-d", SECONDS, "-w", WARM, "-K", OUT / "conf" / "both.pem",
            *(words or ["-N"])]),
            capture_output=True, text=True, timeout=120)
        try:
            figures = json.loads(done.stdout.strip().splitlines()[-1])
        except (IndexError, ValueError) as error:
            said = f"{done.stdout} {done.stderr} {serve.text()[-2000:]}"
            raise SystemExit(f"{way}: {said}") from error
        if figures["err"]:
            print(done.stderr.strip()[-500:])
        return {"hs_s": figures["hs_s"], "err": figures["err"], "quotes": slow.quotes - before,
                "cpu_us": figures["proxy_cpu_s"] / max(1, figures["hs"]) * 1e6,
                "loader": figures["cli_util"]}


def channel(bench):
    """Median CPU of both ends, by the way in which a connection opens."""
    lines = subprocess.check_output(
        pinned(PROXY_CORE, [bench, 20]), text=True).strip().splitlines()
    return {name: float(value) for name, value in (line.split() for line in lines)}


def document(runs, both, ratel):
    lines = ["# Opening attested connections", ""]
    lines += [f"- {name}: {value}" for name, value in facts(ratel, {}).items()]
    columns = ["", "connections/s", f"× {BASE}", "loader's core", "µs of the server", f"× {BASE}",
               "connections/s that one core of the server can", "connections a quote"]
    lines += ["", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for way, all_runs in runs.items():
        quotes = [run["hs_s"] * (SECONDS + WARM) / run["quotes"] for run in all_runs
                  if run["quotes"]]
        lines.append("| " + " | ".join([
            way, spread([run["hs_s"] for run in all_runs], 0),
            spread(paired(runs, way, "hs_s"), 2), spread([run["loader"] for run in all_runs], 2),
            spread([run["cpu_us"] for run in all_runs], 0), spread(paired(runs, way, "cpu_us"), 2),
            spread([1e6 / run["cpu_us"] for run in all_runs], 0), spread(quotes, 0)]) + " |")
    lines += ["", "Both ends in one process, no sockets, simulated Evidence:", "",
              "| | µs of both ends | × mutual TLS |", "|---|---|---|"]
    lines += [f"| {name} | {value:.0f} | {value / both['tls']:.2f} |"
              for name, value in both.items()]
    return "\n".join(lines) + "\n"


def paired(runs, way, key):
    return [run[key] / base[key] for run, base in zip(runs[way], runs[BASE])]


def spread(values, digits):
    if not values:
        return "–"
    return (f"{statistics.median(values):,.{digits}f} "
            f"({min(values):,.{digits}f} to {max(values):,.{digits}f}, n {len(values)})")


if __name__ == "__main__":
    sys.exit(main())
