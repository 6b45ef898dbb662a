"""Measures Ratel's data plane beside other proxies, and writes a table, plots and every run.

run.py [--quick] [--repetitions N] [--only SUBJECT,...] [--workloads NAME,...] RATEL

Runs are interleaved: in each repetition every workload is given to each subject in turn, so that
ratios are between neighbours in time. The load tools and the peers' settings are read from
`../shared/bench` (or $RATEL_SHARED/bench); without them nothing is measured. Results go to
`.build/bench`.
"""

import argparse
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
OUT = ROOT / ".build" / "bench"
SHARED = pathlib.Path(os.environ.get("RATEL_SHARED", ROOT.parent / "shared")) / "bench"
sys.path.insert(0, str(HERE.parent / "EndToEnd"))
sys.path.insert(0, str(HERE.parent / "Support"))

import counts  # noqa: E402
import plots  # noqa: E402
import report  # noqa: E402
from harness import Process, free_port  # noqa: E402
from machine import LOAD_CORE, PROXY_CORE, facts, pinned  # noqa: E402
from subjects import Subjects  # noqa: E402
from workloads import measure, workloads  # noqa: E402

TOOLS = {"toksrv": ["toksrv.c"], "tokcli": ["tokcli.c", "-lssl", "-lcrypto"]}


def main():
    options = parse()
    # Ended, it ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if not SHARED.is_dir():
        print(f"skipped: the load tools and the peers' settings are in {SHARED}, which is absent")
        return 0
    if not {LOAD_CORE, PROXY_CORE} <= os.sched_getaffinity(0):
        print("skipped: the proxy needs a core and the load another, 0 and 1")
        return 0
    (OUT / "run").mkdir(parents=True, exist_ok=True)
    for old in [*OUT.glob("*.svg"), *OUT.glob("run/*.log")]:
        old.unlink()
    build_tools()
    with contextlib.ExitStack() as stack:
        subjects = Subjects(options.ratel.resolve(), OUT, SHARED / "peers", stack)
        chosen, absent = subjects.names()
        chosen = [name for name in chosen if not options.only or name in options.only]
        for name, reason in absent.items():
            print(f"left out: {name}, {reason}")
        known = facts(options.ratel, subjects.versions())
        backend = stack.enter_context(TokenBackend())
        runs = repeat(options, subjects, chosen, backend)
        counted = counts.of_subjects(subjects, chosen) if not options.no_counts else {}
    finish(known, absent, runs, counted)
    return 1 if any("failure" in run for run in runs) else 0


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ratel", type=pathlib.Path, help="the optimised build")
    parser.add_argument("--quick", action="store_true", help="short windows, fewer streams")
    parser.add_argument("--repetitions", type=int, help="of all (default: 5; quick: 1)")
    parser.add_argument("--only", type=lambda text: text.split(","), help="subjects")
    parser.add_argument("--workloads", type=lambda text: text.split(","), help="workloads")
    parser.add_argument("--no-counts", action="store_true", help="no instructions, no system calls")
    return parser.parse_args()


def build_tools():
    """Compiled where they lie; only the programs come here."""
    for name, words in TOOLS.items():
        print(f"compiling {SHARED / words[0]}")
        command = ["gcc", "-O2", "-w", "-o", OUT / name, SHARED / words[0], *words[1:]]
        subprocess.run(command, check=True)


class TokenBackend(Process):
    """The backend that sends tokens; it moves to the core where the load runs."""

    def __init__(self):
        self.port = free_port()
        command = pinned(LOAD_CORE, [OUT / "toksrv", "-p", self.port])
        super().__init__("toksrv", command, OUT / "run")
        self.wait_for_port(self.port)

    def move(self, core):
        os.sched_setaffinity(self.pid, {core})


def repeat(options, subjects, chosen, backend):
    """Every run of every repetition, each kept whatever it says."""
    loads = {name: load for name, load in workloads(options.quick).items()
             if not options.workloads or name in options.workloads}
    repetitions = options.repetitions or (1 if options.quick else 5)
    runs = []
    with open(OUT / "runs.jsonl", "w", buffering=1) as file:
        for repetition in range(repetitions):
            # Nobody is always the first, or always behind the same one.
            turn = repetition % len(chosen)
            for load in loads:
                for name in chosen[turn:] + chosen[:turn]:
                    if not loads[load].applies(name):
                        continue
                    run = one(subjects, name, loads[load], backend)
                    run.update(subject=name, workload=load, repetition=repetition,
                               kind=loads[load].kind, streams=loads[load].streams,
                               rate=loads[load].rate)
                    runs.append(run)
                    file.write(json.dumps(run) + "\n")
                    print(report.line(run), flush=True)
    return runs


def one(subjects, name, load, backend):
    try:
        return measure(subjects, name, load, OUT, backend)
    except (AssertionError, subprocess.SubprocessError, OSError, ValueError) as error:
        return {"failure": f"{type(error).__name__}: {error}"[:600]}


def finish(known, absent, runs, counted):
    text = report.document(known, absent, runs, counted)
    (OUT / "report.md").write_text(text)
    print("\n" + text)
    for name, drawing in plots.drawings(runs).items():
        (OUT / f"{name}.svg").write_text(drawing)
    files = ", ".join(sorted(path.name for path in OUT.glob("*.svg")))
    print(f"written to {OUT.relative_to(ROOT)}: report.md, runs.jsonl, {files}")


if __name__ == "__main__":
    sys.exit(main())
