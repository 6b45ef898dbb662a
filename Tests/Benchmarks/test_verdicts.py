"""Holds the verdicts and the search for a ceiling to made-up runs. usage: test_verdicts.py"""

import pathlib
import sys
import types

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "EndToEnd"))

import ceiling  # noqa: E402
import verdicts  # noqa: E402
from workloads import workloads  # noqa: E402

OPTIONS = types.SimpleNamespace(quick=False, daily=30)
LOAD = "256x50"


def run(subject, cost, repetition=0, **more):
    return {"subject": subject, "workload": LOAD, "repetition": repetition, "us_per_unit": cost,
            "kind": "stream", "portion": "item1", **more}


def lines(*runs):
    return [line for line in verdicts.document(list(runs), {}).splitlines() if LOAD in line]


def cheaper_than_the_limit_is_met():
    own, peers = lines(run("haproxy", 10), run("ratel attested", 8.4))
    return own.endswith("yes |") and peers.endswith("yes |")


def dearer_than_the_limit_is_not():
    own, peers = lines(run("haproxy", 10), run("ratel attested", 8.6))
    return "NO" in own and peers.endswith("yes |")


def cheapest_peer_is_that_of_the_repetition():
    own, peers = lines(run("haproxy", 10), run("hitch", 7), run("ratel attested", 8))
    return own.endswith("yes |") and "NO" in peers and "1.14" in peers


def ratios_are_within_a_repetition():
    # The second repetition was twice as slow for both.
    own, _ = lines(run("haproxy", 10), run("ratel attested", 8), run("haproxy", 20, 1),
                   run("ratel attested", 16, 1))
    return "0.80 (0.80–0.80, n 2)" in own


def what_failed_is_not_met():
    found = lines(run("haproxy", 10), run("ratel attested", 0, failure="x"))
    return len(found) == 2 and all("NO" in line for line in found)


def what_was_not_tried_is_not_judged():
    return lines(run("haproxy", 10)) == []


def lost_event_is_not_met():
    lost = {**run("ratel attested", 1), "workload": "daily", "failure": "1 errors"}
    text = verdicts.document([lost], {})
    # The loss, and that a run of Ratel failed.
    return text.count("NO") == 2 and "1 and 0 of 1" in text


def ceiling_is_found():
    for capacity in (14_000, 60_000, 180_000, 430_000, 2_000_000):
        def measure(probe, capacity=capacity):
            asked = probe.all_streams * probe.rate
            late = 1_000 if asked <= capacity else 200_000
            return {"tok_s": asked, "lat_us": {"max": late}, "cli_util": 0.1, "be_util": 0.1,
                    "proxy_util": 1}

        found = ceiling.search(workloads(OPTIONS)["ceiling"], measure)["ceiling"]
        most = min(capacity, ceiling.MOST * ceiling.STREAMS * ceiling.PACE)
        # One connection less is a twentieth and more where there are few of them.
        if not most - max(12_500, most / 8) <= found <= most:
            print(f"capacity {capacity}: found {found}")
            return False
    return True


TESTS = [cheaper_than_the_limit_is_met, dearer_than_the_limit_is_not,
         cheapest_peer_is_that_of_the_repetition, ratios_are_within_a_repetition,
         what_failed_is_not_met, what_was_not_tried_is_not_judged, lost_event_is_not_met,
         ceiling_is_found]


def main():
    failed = [test.__name__ for test in TESTS if not test()]
    for name in failed:
        print(f"FAILED {name}")
    print(f"{len(TESTS) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
