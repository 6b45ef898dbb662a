"""What somebody on the wire sees of TLS, the sizes of records, and what can be made of them."""

import collections
import contextlib
import math
import socket
import threading

from relay import Relay

APPLICATION = 23


class Tap:
    """One connection: type and length of each record, `up` from the caller, `down` to it."""

    def __init__(self):
        self.up, self.down = [], []


class Wiretap(Relay):
    """Passes TCP on to a port, record by record; a record is noted before it is passed on."""

    def __init__(self, port):
        self.taps, self.latest = {}, None
        super().__init__(port)

    def of(self, channel):
        """What was noted of a caller's connection."""
        return self.taps[channel.getsockname()[1]]

    def begin(self, near, far):
        tap = self.taps[near.getpeername()[1]] = self.latest = Tap()
        for pair in ((near, far, tap.up), (far, near, tap.down)):
            threading.Thread(target=pump, args=pair, daemon=True).start()


def pump(source, target, noted):
    buffer = b""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            buffer += data
            while len(buffer) >= 5:
                end = 5 + int.from_bytes(buffer[3:5], "big")
                if len(buffer) < end:
                    break
                noted.append((buffer[0], end - 5))
                record, buffer = buffer[:end], buffer[end:]
                target.sendall(record)
        target.shutdown(socket.SHUT_WR)


def entropy(values):
    """Bits."""
    counts = collections.Counter(values)
    total = sum(counts.values())
    return -sum(count / total * math.log2(count / total) for count in counts.values())


def mutual_information(pairs):
    """Bits that one value of each pair tells of the other, as they were counted."""
    pairs = list(pairs)
    return (entropy(left for left, _ in pairs) + entropy(right for _, right in pairs)
            - entropy(pairs))


def nearest_neighbour(sequences):
    """The share of `(label, sizes)` whose nearest other one has the same label: what somebody can
    tell who has heard each answer before. The first of those that are as near is taken."""
    right = 0
    for index, (label, sizes) in enumerate(sequences):
        others = (entry for other, entry in enumerate(sequences) if other != index)
        guess = min(others, key=lambda entry: distance(sizes, entry[1]))[0]
        right += guess == label
    return right / len(sequences)


def distance(left, right):
    return abs(len(left) - len(right)) * 1000 + sum(
        abs(one - other) for one, other in zip(left, right))
