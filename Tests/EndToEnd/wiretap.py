"""What somebody on the wire sees of TLS, the sizes of records, and what can be made of them."""

import collections
import contextlib
import math
import socket
import threading

APPLICATION = 23


class Tap:
    """One connection: type and length of each record, `up` from the caller, `down` to it."""

    def __init__(self):
        self.up, self.down = [], []


class Relay:
    """Passes TCP on to a port, record by record; a record is noted before it is passed on."""

    def __init__(self, port):
        self.target = port
        self.taps, self.latest = {}, None
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        self.live = []
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for channel in self.live:
            with contextlib.suppress(OSError):
                channel.shutdown(socket.SHUT_RDWR)

    def of(self, channel):
        """What was noted of a caller's connection."""
        return self.taps[channel.getsockname()[1]]

    def accept(self):
        while True:
            try:
                caller, address = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.target))
            for channel in (caller, server):
                channel.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.live.append(channel)
            tap = self.taps[address[1]] = self.latest = Tap()
            for pair in ((caller, server, tap.up), (server, caller, tap.down)):
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
