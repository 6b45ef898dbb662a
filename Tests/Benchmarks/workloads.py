"""What is asked of each subject: names, numbers, and which of the issue's aims they answer."""

import dataclasses

from subjects import PAIR, PEERS, PROTOTYPE, RATEL

PATH = "/v1/chat/completions?size=290&"
SPEAKS_HTTP2 = ["haproxy", "nginx", "envoy"]
TWO_RATELS = ["ratel serve", "ratel attested"]
DIRECT = "direct"
# The seed's day on one machine: 217 requests a second of 6,000-token prompts, at 4.3 bytes a token,
# each answered by 400 tokens at 50 a second: 86,800 events a second, on 1,736 streams.
REQUESTS, PROMPT, ANSWER, PACE = 217, 26_000, 400, 50
PORTIONS = ("item1", "item2", "item3", "item4", "item5", "item6", "item7", "curve")


@dataclasses.dataclass(frozen=True)
class Workload:
    """Numbers for the load client; `kind` says what its figure is per."""

    kind: str
    portion: str
    subjects: tuple
    connections: int = 1
    # Of each connection, in HTTP/2; elsewhere each stream has a connection of its own.
    streams: int = 1
    rate: int = 0
    # Tokens that the backend writes at once; `rate` stays that of tokens.
    batch: int = 1
    is_http2: bool = False
    is_unix: bool = False
    window: float = 3
    warm: float = 1
    arguments: tuple = ()
    # Whether the exchange is left out, or its question for Evidence.
    exchange: str = "whole"

    @property
    def all_streams(self):
        return self.connections * self.streams

    @property
    def path(self):
        """The target that the backend understands."""
        return f"{PATH}rate={self.rate // self.batch}&batch={self.batch}"

    def seconds(self, subject):
        """About how long one run takes, starting and opening included."""
        is_attested = subject in ("ratel attested", PAIR)
        connections = self.connections if self.is_http2 else self.all_streams
        opening = connections / (250 if is_attested else 1500)
        measured = 0.4 + self.warm + self.window
        if self.kind == "idle":
            return 9 + connections / (160 if is_attested else 400)
        if self.kind == "download":
            return 2
        if self.kind == "ceiling":
            return 8 * measured
        if subject == PAIR:
            opening = 3.5 + self.all_streams // 100
        return measured + opening


def workloads(options):
    """Name → workload, in the order in which they are run."""
    quick = options.quick
    span = {"window": 1, "warm": 0.3} if quick else {"window": 3, "warm": 1}
    every = (DIRECT, *PEERS, *RATEL)
    on_unix = (DIRECT, "haproxy", "nginx", "hitch", "envoy", *TWO_RATELS)

    def streams(count, rate, portion, subjects=every, **more):
        return Workload("stream", portion, subjects, count, 1, rate, **span, **more)

    def http2(connections, each, rate, portion, subjects, **more):
        return Workload("stream", portion, subjects, connections, each, rate, is_http2=True,
                        **span, **more)

    in_front = (DIRECT, *SPEAKS_HTTP2, *RATEL)
    many = 500 if quick else 2000
    found = {
        "256x50": streams(256, 50, "item1"),
        f"{many}x20": streams(many, 20, "item1", without(every, "stunnel", PAIR)),
        "256x50-unix": streams(256, 50, "item1", on_unix, is_unix=True),
        f"{many}x20-unix": streams(many, 20, "item1", on_unix, is_unix=True),
        f"{many}x50": streams(many, 50, "item1", without(every, "stunnel", PAIR)),
        # Item 2's other half: what 2,000 connections cost haproxy.
        f"{many}x50-unix": streams(many, 50, "item2", on_unix, is_unix=True),
        "h2-8x32x50": http2(8, 32, 50, "item2", in_front),
        f"h2-8x{many // 8}x50-unix": http2(
            8, many // 8, 50, "item2", (*in_front, PROTOTYPE), is_unix=True),
        f"h2-8x{many // 8}x50-unix-batch10": http2(
            8, many // 8, 50, "item2", (*in_front, PROTOTYPE), is_unix=True, batch=10),
    }
    found |= daily(options) | unpaced(quick, every, span) | handshakes(quick) | idle(quick)
    found |= neighbours(quick)
    return quickened(found) if quick else found | curve(streams, http2)


def quickened(found):
    """Without what a look at whether it works can spare."""
    spared = {"500x20-unix", "500x50", "unpaced", "handshakes-resumed", "h2-idle"}
    return {name: dataclasses.replace(
        load, subjects=without(load.subjects, "hitch", "envoy", "stunnel"))
        for name, load in found.items() if name not in spared}


def daily(options):
    """Item 3: 8 connections hold up to 2,048 streams.

    Without a proxy the load's core alone would be full of it, so that there is no such run.
    """
    seconds = options.daily
    load = Workload(
        "daily", "item3", ("haproxy", "ratel attested"), 8, 256, PACE, is_http2=True,
        is_unix=True, window=seconds, warm=ANSWER / PACE + 1,
        arguments=("-q", REQUESTS, "-b", PROMPT, "-n", ANSWER))
    ceiling = Workload(
        "ceiling", "item3", ("ratel attested",), 8, 250, PACE, is_http2=True, is_unix=True,
        window=2 if options.quick else 5)
    found = {"daily": load, "ceiling": ceiling}
    if not options.quick:
        found["ceiling-batch10"] = dataclasses.replace(ceiling, batch=10)
    return found


def unpaced(quick, every, span):
    """Item 4: what is moved when nothing waits for a clock."""
    size = 2**28 if quick else 2**30
    load = Workload("stream", "item4", without(every, "stunnel", PAIR), 64, 1, 0, **span)
    batched = dataclasses.replace(load, batch=44)
    return {
        "unpaced": load,
        "unpaced-batch44": batched,
        "h2-unpaced-batch44": dataclasses.replace(
            batched, connections=8, streams=8, is_http2=True,
            subjects=(*SPEAKS_HTTP2, *TWO_RATELS)),
        "download": Workload(
            "download", "item4", without(every, DIRECT, PAIR), window=25, warm=0,
            arguments=("-n", size, "-r", f"/bytes/{size}")),
    }


def handshakes(quick):
    """Item 5: the last three are the steps from TLS to a whole exchange, on one server."""
    load = Workload("handshake", "item5", (*PEERS, "ratel serve"), 8, warm=0.3,
                    window=1 if quick else 3)
    attested = dataclasses.replace(load, subjects=("ratel attested",))
    return {
        "handshakes": load,
        "handshakes-resumed": dataclasses.replace(
            load, kind="resumed", subjects=tuple(PEERS)),
        "handshakes-tls": dataclasses.replace(attested, exchange="none"),
        "handshakes-exchange": dataclasses.replace(attested, exchange="nothing asked"),
        "handshakes-attested": attested,
    }


def idle(quick):
    """Item 6: as many, then as many more that come in place of those that go."""
    count = 1000 if quick else 10_000
    load = Workload("idle", "item6", ("haproxy", "nginx", *TWO_RATELS), count, warm=1, window=0,
                    arguments=("-x", count))
    return {"idle": load, "h2-idle": dataclasses.replace(load, is_http2=True)}


def neighbours(quick):
    """Item 7: one set of streams, calm and then beside what disturbs them."""
    calm = Workload("stream", "item7", ("ratel attested",), 8, 32, 50, is_http2=True, is_unix=True,
                    window=2 if quick else 5)
    return {
        "calm": calm,
        "slow-reader": dataclasses.replace(calm, arguments=("-l", 1)),
        "stalled-backend": dataclasses.replace(calm, kind="stalled", arguments=("-s", 4, "-k")),
        "reset-storm": dataclasses.replace(calm, arguments=("-X", 1000)),
        "header-trickle": dataclasses.replace(calm, arguments=("-T", 2**20)),
    }


def curve(streams, http2):
    """Cost against the number of streams, for the picture; 2,000 is measured above."""
    subjects = ("haproxy", "nginx", "envoy", *TWO_RATELS)
    found = {f"{count}x20": streams(count, 20, "curve", (DIRECT, *subjects))
             for count in (16, 64, 250, 1000)}
    for each in (2, 8, 32, 125, 250):
        found[f"h2-8x{each}x20"] = http2(
            8, each, 20, "curve", (DIRECT, *subjects, PROTOTYPE))
    return found


def without(subjects, *names):
    return tuple(name for name in subjects if name not in names)
