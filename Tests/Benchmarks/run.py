"""Measures Ratel's data plane beside other proxies, and writes tables, verdicts, plots, every run.

run.py [--quick] [--repetitions N] [--daily SECONDS] [--only NAME,...] [--list] RATEL

--daily is how long the day's load lasts in the first repetition; in the others it lasts 30 s.

Runs are interleaved: in each repetition every workload is given to each subject in turn, so that
ratios are between neighbours in time. A NAME is a subject, a workload, `item1` to `item7` of the
aims, `curve` or `counts`; of both kinds the named ones are run. The other load tools and the peers'
settings are read from `../shared/bench` (or $RATEL_SHARED/bench); without them nothing is
measured. Results go to `.build/bench`.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "EndToEnd"))
sys.path.insert(0, str(HERE.parent / "Support"))

import appraising  # noqa: E402
import counts  # noqa: E402
import plots  # noqa: E402
import report  # noqa: E402
import tools  # noqa: E402
import verdicts  # noqa: E402
from harness import scratch  # noqa: E402
from machine import LOAD_CORE, PROXY_CORE, facts  # noqa: E402
from measuring import measure  # noqa: E402
from subjects import RATEL, Subjects  # noqa: E402
from token_backend import TokenBackend  # noqa: E402
from workloads import PORTIONS, workloads  # noqa: E402

OUT = tools.ROOT / ".build" / "bench"
DAILY_SECONDS = 30
# What counting instructions takes of all subjects.
COUNTING_SECONDS = 60


def main():
    options = parse()
    # Ended, it ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if not tools.SHARED.is_dir():
        print(f"skipped: the load tools and the peers' settings are in {tools.SHARED}, absent here")
        return 0
    if not {LOAD_CORE, PROXY_CORE} <= os.sched_getaffinity(0):
        print("skipped: the proxy needs a core and the load another, 0 and 1")
        return 0
    prepare()
    with contextlib.ExitStack() as stack:
        subjects = Subjects(options.ratel.resolve(), OUT, tools.SHARED / "peers", stack)
        present, absent = subjects.names()
        chosen, loads, is_counted = choose(options, present, absent)
        for name, reason in absent.items():
            print(f"left out: {name}, {reason}")
        if options.list:
            return listed(loads)
        known = facts(options.ratel, subjects.versions())
        announce(options, chosen, loads, is_counted)
        # A socket's path has at most 107 bytes; some peers' workers are not who started them.
        place = pathlib.Path(stack.enter_context(scratch()))
        place.chmod(0o755)
        backend = stack.enter_context(TokenBackend(OUT, place / "backend.sock"))
        runs = repeat(options, subjects, chosen, loads, backend)
        # In a hurry, Ratel's own counts alone.
        counting = [name for name in chosen if name in RATEL or not options.quick]
        counted = counts.of_subjects(subjects, counting) if is_counted else {}
    finish(known, absent, runs, counted, appraising.costs(options.ratel.parent.resolve()))
    return 1 if any("failure" in run for run in runs) else 0


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], epilog=__doc__.split("\n\n", 2)[2],
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ratel", type=pathlib.Path, help="the optimised build")
    parser.add_argument("--quick", action="store_true", help="short windows, fewer streams")
    parser.add_argument("--repetitions", type=int, help="of all (default: 5; quick: 1)")
    parser.add_argument("--daily", type=float, help="seconds of the day's load (30; quick: 4)")
    parser.add_argument("--only", type=lambda text: text.split(","), help="names, see below")
    parser.add_argument("--list", action="store_true", help="the workloads and their subjects")
    options = parser.parse_args()
    options.repetitions = options.repetitions or (1 if options.quick else 5)
    options.daily = options.daily or (4 if options.quick else DAILY_SECONDS)
    return options


def prepare():
    (OUT / "run").mkdir(parents=True, exist_ok=True)
    for old in [*OUT.glob("*.svg"), *OUT.glob("run/*.log"), *OUT.glob("muxep")]:
        old.unlink()
    for name in tools.TOOLS:
        try:
            tools.build(name, OUT)
        except subprocess.CalledProcessError as error:
            # The prototype takes a library that other distributions may not have.
            if name != "muxep":
                raise SystemExit(error.stderr.decode()) from error


def choose(options, present, absent):
    """The subjects and workloads that were named; all where none of their kind was."""
    loads = workloads(options)
    names = set(options.only or ())
    unknown = names - {*present, *absent, *loads, *PORTIONS, "counts"}
    if unknown:
        raise SystemExit(f"nothing is called {', '.join(sorted(unknown))}: {', '.join(present)}; "
                         f"{', '.join(PORTIONS)}, counts; {', '.join(loads)}")
    chosen = [name for name in present if name in names or not names & {*present, *absent}]
    some = {name: load for name, load in loads.items() if {name, load.portion} & names}
    is_all = not names - {*present, *absent}
    return chosen, loads if is_all else some, is_all or "counts" in names


def listed(loads):
    for name, load in loads.items():
        print(f"{load.portion:6} {name:26} {', '.join(load.subjects)}")
    return 0


def announce(options, chosen, loads, is_counted):
    """How long it will take, before it does."""
    each = [(load, name) for load in loads.values() for name in load.subjects if name in chosen]
    seconds = sum(load.seconds(name) for load, name in each) * options.repetitions
    longer = max(0, options.daily - DAILY_SECONDS) * (options.repetitions - 1)
    seconds -= longer * sum(load.kind == "daily" for load, _ in each)
    seconds += COUNTING_SECONDS * is_counted
    count = len(each)
    print(f"{count} runs, each {options.repetitions} times: about {seconds / 60:.0f} minutes",
          flush=True)


def repeat(options, subjects, chosen, loads, backend):
    """Every run of every repetition, each kept whatever it says."""
    runs = []
    with open(OUT / "runs.jsonl", "w", buffering=1) as file:
        for repetition in range(options.repetitions):
            # Nobody is always the first, or always behind the same one.
            turn = repetition % len(chosen)
            for workload, load in loads.items():
                for name in chosen[turn:] + chosen[:turn]:
                    if name not in load.subjects:
                        continue
                    if load.kind == "daily" and repetition:
                        load = dataclasses.replace(load, window=min(load.window, DAILY_SECONDS))
                    began = time.monotonic()
                    run = one(subjects, name, load, backend)
                    run.update(
                        took_s=round(time.monotonic() - began, 2), warm_s=load.warm,
                        subject=name, workload=workload, repetition=repetition, kind=load.kind,
                        streams=load.all_streams, rate=load.rate, portion=load.portion,
                        http2=load.is_http2)
                    runs.append(run)
                    file.write(json.dumps(run) + "\n")
                    print(report.line(run), flush=True)
    return runs


def one(subjects, name, load, backend):
    try:
        return measure(subjects, name, load, OUT, backend)
    except (AssertionError, subprocess.SubprocessError, OSError, ValueError) as error:
        return {"failure": f"{type(error).__name__}: {error}"[:600]}


def finish(known, absent, runs, counted, appraised):
    text = report.document(known, absent, runs, counted)
    text += verdicts.document(runs, appraised)
    (OUT / "report.md").write_text(text)
    print("\n" + text)
    for name, drawing in plots.drawings(runs, known).items():
        (OUT / f"{name}.svg").write_text(drawing)
    files = ", ".join(sorted(path.name for path in OUT.glob("*.svg")))
    print(f"written to {OUT.relative_to(tools.ROOT)}: report.md, runs.jsonl, {files}")


if __name__ == "__main__":
    sys.exit(main())
