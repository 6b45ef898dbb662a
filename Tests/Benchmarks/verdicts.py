"""The aims of "The data plane at the limit", each with its target and what was measured.

Ratios are within one repetition; then the median over the repetitions, least and most.
"""

import statistics
from collections import namedtuple

from report import partner, spread, table

Verdict = namedtuple("Verdict", "item what target measured is_met")
RATEL, PAIR = "ratel attested", "ratel pair"
PEERS = ["haproxy", "nginx", "hitch", "envoy"]
# Those that use the machine's OpenSSL; Envoy brings its own library.
SAME_OPENSSL = ["haproxy", "nginx", "hitch", "stunnel"]
CPU, TOKENS = "us_per_unit", "tok_s"
# Unpaced costs are compared where tokens per record differ by no more.
SAME_RECORDS = 0.15
KIB = 1024


def document(runs, appraised):
    """One table, for those aims of which there are runs."""
    runs = Runs(runs)
    found = [*first(runs), *second(runs), *third(runs), *fourth(runs), *fifth(runs, appraised),
             *sixth(runs), *seventh(runs)]
    lost = sum(run["subject"].startswith("ratel") for run in runs.failed)
    if found:
        found.append(Verdict("all", "runs of Ratel that failed", "0", str(lost), not lost))
    rows = [[item, what, target, measured, {True: "yes", False: "NO", None: "–"}[is_met]]
            for item, what, target, measured, is_met in found]
    if not rows:
        return ""
    return "\n## Aims\n\n" + table(["", "what", "target", "measured", "met"], rows) + "\n"


class Runs:
    """Runs that did not fail, by workload and subject."""

    def __init__(self, runs):
        self.runs = [run for run in runs if "failure" not in run]
        self.failed = [run for run in runs if "failure" in run]

    def tried(self, workload, *subjects):
        """Whether all of them were given the workload, with whatever success."""
        given = {run["subject"] for run in [*self.runs, *self.failed]
                 if run["workload"] == workload}
        return given >= {RATEL, *subjects}

    def of(self, workload, subject=RATEL):
        return [run for run in self.runs
                if run["workload"] == workload and run["subject"] == subject]

    def named(self, *endings):
        """The name of the workload for 2,000 streams, or for fewer in a quick run."""
        names = dict.fromkeys(run["workload"] for run in [*self.runs, *self.failed])
        return next((name for name in names if name in endings), endings[0])

    def paired(self, workload, subject, base_workload, base, key=CPU):
        """The key's value beside that of `base`, for each repetition that has both."""
        others = [run for run in self.runs if run["workload"] == base_workload]
        return [run[key] / other[key] for run in self.of(workload, subject)
                if (other := partner(run, others, base)) and other[key]]

    def cheapest(self, workload, peers, key=CPU, is_alike=lambda run, other: True):
        """Beside the best peer in each repetition."""
        found = []
        for run in self.of(workload):
            others = [other[key] for peer in peers for other in self.of(workload, peer)
                      if other["repetition"] == run["repetition"] and is_alike(run, other)]
            if others:
                found.append(run[key] / min(others))
        return found


def at_most(item, what, found, limit, is_tried, digits=2, unit=""):
    """A verdict on the median; what was tried and gave no figure is not met."""
    if not found:
        return [Verdict(item, what, f"≤ {limit:g}{unit}", "no figure", False)] if is_tried else []
    return [Verdict(item, what, f"≤ {limit:g}{unit}", spread(found, digits),
                    statistics.median(found) <= limit)]


def shown(item, what, found, digits=2):
    """What is only to be printed."""
    return [Verdict(item, what, "printed", spread(found, digits), None)] if found else []


def first(runs):
    found = []
    for names, limit, stretch in ((["256x50"], 0.85, 0.65), (["2000x20", "500x20"], 0.90, 0.75)):
        for where in ("", "-unix"):
            load = runs.named(*(name + where for name in names))
            found += at_most("1", f"{load}: CPU/token, × haproxy (stretch {stretch})",
                             runs.paired(load, RATEL, load, "haproxy"), limit,
                             runs.tried(load, "haproxy"))
            found += at_most("1", f"{load}: CPU/token, × the cheapest peer",
                             runs.cheapest(load, PEERS), 1, runs.tried(load, "haproxy"))
    return found + overload(runs)


def overload(runs):
    """Beside the peer that delivers most in each repetition."""
    load, tokens, cpu = runs.named("2000x50", "500x50"), [], []
    for run in runs.of(load):
        others = [other for peer in PEERS for other in runs.of(load, peer)
                  if other["repetition"] == run["repetition"]]
        if others:
            best = max(others, key=lambda other: other[TOKENS])
            tokens.append(best[TOKENS] / run[TOKENS])
            cpu.append(run["proxy_util"] / best["proxy_util"])
    is_tried = runs.tried(load, "haproxy")
    return (at_most("1", f"{load}: the best peer's tokens/s, × Ratel's", tokens, 1, is_tried)
            + at_most("1", f"{load}: CPU, × that peer's", cpu, 1, is_tried))


def second(runs):
    load = runs.named("h2-8x250x50-unix", "h2-8x62x50-unix")
    base = runs.named("2000x50-unix", "500x50-unix")
    # Where haproxy falls behind 2,000 connections at that pace, it finds several tokens in a read
    # and is cheap for it: so beside what it costs at a pace that it keeps up with, too.
    calmer = runs.named("2000x20-unix", "500x20-unix")
    batched = load + "-batch10"
    return [
        *at_most("2", f"{load}: CPU/token, × haproxy's {base}",
                 runs.paired(load, RATEL, base, "haproxy"), 0.25,
                 runs.tried(load) and runs.tried(base, "haproxy")),
        *shown("2", f"{load}: CPU/token, × haproxy's {calmer}",
               runs.paired(load, RATEL, calmer, "haproxy")),
        *at_most("2", f"{load}: CPU/token, × the prototype",
                 runs.paired(load, RATEL, load, "prototype"), 1.3,
                 runs.tried(load, "prototype")),
        *at_most("2", f"{batched}: CPU/token", of(runs, batched, CPU), 2,
                 runs.tried(batched), unit=" µs"),
        *shown("2", f"{load}: µs/token", of(runs, load, CPU)),
        *shown("2", f"{load}: µs/token with `connect`, both charged",
               [run[CPU] for run in runs.of(load, PAIR)]),
    ]


def of(runs, workload, key):
    return [run[key] for run in runs.of(workload)]


def third(runs):
    own, found = runs.of("daily"), []
    if own:
        seconds = statistics.median(run["win_s"] for run in own)
        found += at_most("3", f"the day's load for {seconds:.0f} s: cores of CPU",
                         of(runs, "daily", "proxy_util"), 1, is_tried=True)
    lost = [run for run in runs.failed if run["workload"] == "daily" and run["subject"] == RATEL]
    if own or lost:
        late = sum(run["deferred"] > 0 for run in own)
        found.append(Verdict(
            "3", "the same: runs in which an event was lost or a request had to wait", "0",
            f"{len(lost)} and {late} of {len(own) + len(lost)}", not lost and not late))
    for subject in ("haproxy", RATEL):
        for quantile in ("p50", "p99"):
            found += shown("3", f"the same, {subject}: {quantile} from send to read, µs",
                           [run["lat_us"][quantile] for run in runs.of("daily", subject)], 0)
    for load in ("ceiling", "ceiling-batch10"):
        found += shown("3", f"{load}: events/s, none later than 100 ms",
                       [run["ceiling"] for run in runs.of(load)], 0)
        found += [Verdict("3", f"{load}: what ended it", "printed", run["bound"], None)
                  for run in runs.of(load)[:1]]
    return found


def fourth(runs):
    def is_alike(run, other):
        ratio = run["tokens_per_record"] / other["tokens_per_record"]
        return 1 - SAME_RECORDS <= ratio <= 1 / (1 - SAME_RECORDS)

    found = []
    for load in ("unpaced", "unpaced-batch44"):
        what = f"{load}: CPU/token, × the cheapest peer with as many tokens a record"
        ratios = runs.cheapest(load, PEERS, is_alike=is_alike)
        if runs.cheapest(load, PEERS) and not ratios:
            found.append(Verdict("4", what, "≤ 1", "no peer has as many", None))
        else:
            found += at_most("4", what, ratios, 1, runs.tried(load, "haproxy"))
    for load in ("unpaced-batch44", "h2-unpaced-batch44"):
        found += at_most("4", f"{load}: CPU/token", of(runs, load, CPU), 0.7, runs.tried(load),
                         unit=" µs")
    return found + at_most("4", "1 GiB download: CPU, × haproxy",
                           runs.paired("download", RATEL, "download", "haproxy"), 0.95,
                           runs.tried("download", "haproxy"))


def fifth(runs, appraised):
    plain = [run[CPU] / min(others) for run in runs.of("handshakes", "ratel serve")
             if (others := [other[CPU] for peer in SAME_OPENSSL
                            for other in runs.of("handshakes", peer)
                            if other["repetition"] == run["repetition"]])]
    is_tried = any(run["workload"] == "handshakes" and run["subject"] == "ratel serve"
                   for run in runs.failed)
    found = at_most("5", "plain handshake: CPU, × the cheapest peer on the same OpenSSL", plain, 1,
                    is_tried)
    found += shown("5", "attested handshake: µs of the server, its TPM apart",
                   of(runs, "handshakes-attested", CPU), 0)
    for what, load, base in (
            ("exchange: frames without Evidence, µs", "handshakes-exchange", "handshakes-tls"),
            ("signature: quote and Evidence's signature, µs", "handshakes-attested",
             "handshakes-exchange")):
        others = runs.of(base)
        found += shown("5", what, [run[CPU] - other[CPU] for run in runs.of(load)
                                   if (other := partner(run, others, RATEL))], 0)
    found += shown("5", "the software TPM's own, µs a quote", [
        1e6 * run["beside"][0] / (run["hs_s"] * (run["win_s"] + run["warm_s"]))
        for run in runs.of("handshakes-attested") if run["beside"] and run["hs_s"]], 0)
    if not runs.of("handshakes-attested"):
        return found
    return found + [Verdict("5", f"appraisal by the relying party, {kind}: µs", "printed",
                            f"{cost:,.0f}", None) for kind, cost in appraised.items()]


def sixth(runs):
    found = []
    for load in ("idle", "h2-idle"):
        for peer in ("haproxy", "nginx"):
            found += at_most("6", f"{load}: KiB of an attested connection, × {peer}",
                             runs.paired(load, RATEL, load, peer, "kb_per_conn"), 1,
                             runs.tried(load, peer))
        count = max((run["conns"] for run in runs.of(load)), default=0)
        found += shown("6", f"{load}: KiB of each of {count:,} (stretch 12)",
                       of(runs, load, "kb_per_conn"), 1)
        found += at_most("6", f"{load}: memory when as many more came and went, × before",
                         [run["again_kb"] / run["held_kb"] for run in runs.of(load)], 1.05,
                         runs.tried(load), 3)
    return found


def seventh(runs):
    found = []
    for load in ("slow-reader", "stalled-backend", "reset-storm", "header-trickle"):
        ratios = [run["lat_us"]["p99"] / calm["lat_us"]["p99"] for run in runs.of(load)
                  if (calm := partner(run, runs.of("calm"), RATEL))]
        found += at_most("7", f"{load}: other streams' p99, × calm", ratios, 2,
                         runs.tried(load) and runs.tried("calm"))
    return found + shown("7", "calm: p99 from send to read, µs",
                         [run["lat_us"]["p99"] for run in runs.of("calm")], 0)
