"""The highest rate of events at which none is late, found by halving."""

import dataclasses

from workloads import PACE

# No event may be later than this.
LATE_US = 100_000
# What is delivered may fall behind what is asked for by as much: the edges of the window.
DELIVERED = 0.98
# HTTP/2 streams of one connection, of which Ratel takes 256, and connections: a worker takes 4,096
# to its backend. Beyond them each stream has more events a second.
STREAMS, CONNECTIONS = 250, 16
FIRST, MOST = 4, 64  # Connections at the usual pace: 50,000 and 800,000 events a second.
# The load's core, which loader and backend share, is what is measured from here on.
LOADER_FULL = 0.9


def search(load, measure):
    """`measure` runs one load; answers the last one that was carried, and every probe."""
    carried, probes, low, high = None, [], 0, 0
    count = FIRST
    while True:
        faster = -(-count // CONNECTIONS)
        probe = dataclasses.replace(
            load, kind="stream", connections=round(count / faster), streams=STREAMS,
            rate=PACE * faster)
        asked = probe.all_streams * probe.rate
        if any(asked == before["asked"] for before in probes):
            break
        # What something else on the machine spoiled is tried once more; both tries are kept.
        for _ in range(2):
            figures = measure(probe)
            is_good, why = judge(figures, asked)
            probes.append({
                "asked": asked, "carried": is_good, "why": why,
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
        return {"failure": f"not even {probes[-1]['asked']} events/s were carried: {probes}"}
    return {**carried, "ceiling": carried["tok_s"], "probes": probes,
            "bound": next((probe["why"] for probe in reversed(probes) if not probe["carried"]),
                          f"not reached at {MOST * STREAMS * PACE} events/s")}


def following(low, high):
    """Twice as many until one fails, or half as many until one does not, then the middle, until
    they are within a sixteenth."""
    if not high:
        return None if low == MOST else min(MOST, 2 * low)
    if not low:
        return high // 2 or None
    if high - low <= max(1, low // 16):
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
