"""The table: medians, spread and how many runs, and ratios to haproxy within each repetition."""

import statistics

from subjects import PEERS, PROTOTYPE, RATEL

BASE = "haproxy"
SUBJECTS = ["direct", *PEERS, PROTOTYPE, *RATEL]
# Of which kind each unit is; all else is per token.
UNITS = {"idle": "KiB/connection", "download": "CPU-s/GiB", "handshake": "µs/handshake",
         "resumed": "µs/handshake", "ceiling": "events/s"}

# A run beside which others took more than this share of a core is counted as disturbed; none is
# left out for it.
DISTURBED = 0.15
# Latency says something below this share of the core alone.
LOADED = 0.7


def line(run):
    """One run as it ends."""
    head = f"{run['repetition']} {run['subject']:14} {run['workload']:24}"
    if "failure" in run:
        return f"{head} FAILED {run['failure']}"
    value, unit = figure(run)
    return (f"{head} {value:9.2f} {unit:14} proxy {run.get('proxy_util', 0):.2f} "
            f"loader {run.get('cli_util', 0):.2f} others {run['other']:.2f} "
            f"steal {run['steal']:.2f}")


def figure(run):
    """The figure that a workload is about, and its unit."""
    unit = UNITS.get(run["kind"], "µs/token")
    if run["kind"] == "idle":
        return run["kb_per_conn"], unit
    if run["kind"] == "ceiling":
        return run["ceiling"], unit
    return run["us_per_unit"] / (1e6 if run["kind"] == "download" else 1), unit


def document(known, absent, runs, counted):
    """Everything, as Markdown."""
    parts = ["# Ratel's data plane, beside other proxies\n"]
    parts += [f"- {name}: {value}" for name, value in known.items()]
    parts += [f"- left out: {name}, {reason}" for name, reason in absent.items()]
    parts += [f"- {name}: {meaning}" for name, meaning in RATEL.items()]
    for workload in dict.fromkeys(run["workload"] for run in runs):
        own = [run for run in runs if run["workload"] == workload]
        parts.append(f"\n## {workload}\n")
        parts.append(plain_table(own) if own[0]["kind"] in UNITS else stream_table(own))
        parts += details(own)
    if counted:
        parts.append("\n## One token in lockstep\n")
        parts.append(count_table(counted))
    parts.append("\n## Runs\n")
    parts.append(remarks(runs))
    return "\n".join(parts) + "\n"


def stream_table(runs):
    rows = []
    for name, own in by_subject(runs):
        latency = [spread([part for run in own if (part := added(run, runs, quantile))
                           is not None], 0) for quantile in ("p50", "p99")]
        cost = name != "direct"
        rows.append([name, values(own, figure_of) if cost else "–", ratios(own, runs),
                     *latency, middle(own, "tokens_per_record", 2), middle(own, "tok_s", 0),
                     middle(own, "proxy_util", 2), middle(own, "cli_util", 2),
                     middle(own, "be_util", 2), middle(own, "other", 2), middle(own, "steal", 2)])
    return table(["", "µs CPU/token", "ratio", "added p50 µs", "added p99 µs", "tokens/record",
                  "tokens/s", "proxy", "loader", "backend", "others", "steal"], rows)


def plain_table(runs):
    unit = UNITS[runs[0]["kind"]]
    rows = [[name, values(own, figure_of), ratios(own, runs), middle(own, "proxy_util", 2),
             middle(own, "cli_util", 2), middle(own, "other", 2), middle(own, "steal", 2)]
            for name, own in by_subject(runs)]
    return table(["", unit, "ratio", "proxy", "loader", "others", "steal"], rows)


def details(runs):
    """What some kinds of run have to say besides."""
    said = []
    for name, own in by_subject(runs):
        kind = own[0]["kind"]
        if kind == "daily":
            said.append(f"- {name}: requests/s {middle(own, 'reqs', 0, per='win_s')}, first token "
                        f"p99 {spread([run['ttfb_us']['p99'] / 1000 for run in own], 0)} ms")
        if kind == "idle":
            said.append(f"- {name}: KiB held {middle(own, 'held_kb', 0)}, after as many more "
                        f"{middle(own, 'again_kb', 0)}, after all had gone "
                        f"{middle(own, 'gone_kb', 0)}")
        if kind == "ceiling":
            said += [f"- {probe['asked']:,} events/s: "
                     + ("carried" if probe["carried"] else probe["why"])
                     for probe in own[0]["probes"]]
        if any(run.get("resets") or run.get("header_MB") or run.get("reconnects") for run in own):
            said.append(f"- {name}: resets {middle(own, 'resets', 0)}, MB of header bytes "
                        f"{middle(own, 'header_MB', 1)}, thrown out "
                        f"{middle(own, 'reconnects', 0)} times")
    return ["", *said] if said else []


def count_table(counted):
    rows = [[name, f"{instructions:,.0f}" if instructions else "–",
             f"{calls:.2f}" if calls else "–"]
            for name, (instructions, calls) in counted.items()]
    return table(["", "instructions/token", "system calls/token"], rows)


def remarks(runs):
    """What a reader has to know of the runs before believing them."""
    disturbed = sum(run.get("other", 0) > DISTURBED for run in runs)
    failed = [run for run in runs if "failure" in run]
    lines = [f"{len(runs)} runs, none left out but those that failed: {len(failed)}.",
             f"Beside {disturbed} of them other processes took more than {DISTURBED:.0%} of a "
             "core: where that is many, trust no figure but counts."]
    lines += [f"- failed: {run['subject']}, {run['workload']}, repetition {run['repetition']}: "
              f"{run['failure']}" for run in failed]
    return "\n".join(lines)


def by_subject(runs):
    """Each subject with its runs that did not fail."""
    for name in SUBJECTS:
        own = [run for run in runs if run["subject"] == name and "failure" not in run]
        if own:
            yield name, own


def partner(run, runs, subject):
    """The run of `subject` in the same repetition."""
    return next((other for other in runs if other["subject"] == subject and "failure" not in other
                 and other["repetition"] == run["repetition"]), None)


def added(run, runs, quantile):
    """Latency above that without a proxy, in the same repetition; none under high load."""
    base = partner(run, runs, "direct")
    if run["subject"] == "direct" or base is None or run["proxy_util"] > LOADED:
        return None
    return run["lat_us"][quantile] - base["lat_us"][quantile]


def ratios(own, runs):
    found = [figure_of(run) / figure_of(base) for run in own
             if (base := partner(run, runs, BASE)) and figure_of(base) and run["subject"] != BASE]
    return spread(found, 2) if own[0]["subject"] != "direct" else "–"


def figure_of(run):
    return figure(run)[0]


def values(runs, of):
    found = [of(run) for run in runs]
    return spread(found, 1 if statistics.median(found) >= 3 else 2)


def middle(runs, key, digits, per=None):
    found = [run[key] / (run[per] if per else 1) for run in runs if key in run]
    return f"{statistics.median(found):,.{digits}f}" if found else "–"


def spread(found, digits):
    """Median, least and most, and of how many."""
    if not found:
        return "–"
    middle = f"{statistics.median(found):,.{digits}f}"
    if len(found) == 1:
        return f"{middle} (n 1)"
    return f"{middle} ({min(found):,.{digits}f}–{max(found):,.{digits}f}, n {len(found)})"


def table(head, rows):
    """Columns of one width, so that the Markdown can be read as it is."""
    rows = [head, *rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |"
             for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
