"""The highest rate of events at which none is late, found by halving."""

import dataclasses

from workloads import PACE

# No event may be later than this.
LATE_US = 100_000
# What is delivered may fall behind what is asked for by as much: the edges of the window.
DELIVERED = 0.98
# HTTP/2 streams of one connection; Ratel takes 256.
STREAMS = 250
LEAST, MOST = 4, 64  # Connections: 50,000 and 800,000 events a second.
# The load's core, which loader and backend share, is what is measured from here on.
LOADER_FULL = 0.9


def search(load, measure):
    """`measure` runs one load; answers the last one that was carried, and every probe."""
    carried, probes, low, high = None, [], 0, 0
    count = LEAST
    while True:
        probe = dataclasses.replace(load, kind="stream", connections=count, streams=STREAMS)
        # What something else on the machine spoiled is tried once more; both tries are kept.
        for _ in range(2):
            figures = measure(probe)
            is_good, why = judge(figures, count * STREAMS * PACE)
            probes.append({
                "asked": count * STREAMS * PACE, "carried": is_good, "why": why,
                "tok_s": figures.get("tok_s"), "proxy_util": figures.get("proxy_util"),
                "max_us": figures.get("lat_us", {}).get("max")})
            if is_good:
                break
        if is_good:
            carried, low = figures, count
        else:
            high = count
        count = following(low, high)
        if count is None:
            break
    if carried is None:
        return {"failure": f"not even {LEAST * STREAMS * PACE} events/s were carried: {probes}"}
    return {**carried, "ceiling": carried["tok_s"], "probes": probes,
            "bound": next((probe["why"] for probe in reversed(probes) if not probe["carried"]),
                          f"not reached at {MOST * STREAMS * PACE} events/s")}


def following(low, high):
    """Twice as many until one fails, then the middle, until they are within a sixteenth."""
    if not high:
        return None if low == MOST else min(MOST, 2 * low)
    if not low or high - low <= max(1, low // 16):
        return None
    return (low + high) // 2


def judge(figures, asked):
    """Whether the load was carried, and what stood in the way where it was not."""
    if "failure" in figures:
        return False, figures["failure"][:120]
    late, share = figures["lat_us"]["max"], figures["tok_s"] / asked
    if late <= LATE_US and share >= DELIVERED:
        return True, ""
    loader = figures["cli_util"] + figures["be_util"]
    who = "the load's core is full" if loader > LOADER_FULL else "the proxy or the machine"
    return False, (f"{who}: the latest event {late / 1000:.0f} ms, {share:.0%} delivered, proxy "
                   f"{figures['proxy_util']:.2f}, loader and backend {loader:.2f}")
