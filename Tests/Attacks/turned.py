"""A server of HTTP/2 with attestation that turns bad while a stream runs: asked once more, it shows
the Evidence that it showed at first. Its Evidence is simulated, so that it can be made here."""

import time

import formulas
from channel import Channel, Listener, Refused
from clocks import Clock
from formulas import CHALLENGE, EVIDENCE, RESULT, frame
from harness import Process, free_port
from wire import Client

MEDIA = "application/vnd.ratel.simulated+cbor"
CONFIGURATION = b'{"access_log":"off"}'
DATA, HEADERS, SETTINGS, PING, WINDOW, EXCHANGE = 0, 1, 4, 6, 8, 0xF1
PIECE = 0.02
POLICY = "version: 1\npeers: [{name: any, simulated: true, max_age: 15s}]\n"


class Turned(Listener):
    """Serves one connection after the other; `turns` says whether it replays."""

    def __init__(self, identity, turns):
        self.identity, self.turns = identity, turns
        self.hardware, self.binding = formulas.new_key(), formulas.new_key()
        self.challenges, self.results, self.first = 0, [], None
        super().__init__()

    def serve(self, plain):
        try:
            channel = Channel.of(plain, self.identity, protocol="ratel/1+h2")
            kind, challenge = channel.frame()
            assert kind == CHALLENGE
            channel.send(frame(CHALLENGE, formulas.encode({})))
            channel.send(self.answer(channel, challenge, 0))
            assert channel.frame()[0] == RESULT
            Frames(channel, self).run()
        except (Refused, OSError):
            # The caller is gone.
            plain.close()

    def answer(self, channel, challenge, sequence):
        if self.turns and self.first:
            return self.first
        nonce = bytes([sequence]) * 32
        value = formulas.base(formulas.ALL, channel, formulas.SERVER, challenge, nonce,
                              CONFIGURATION, sequence)
        public = formulas.spki(self.binding)
        data = formulas.report_data(formulas.quoted_root(formulas.leaf(value), public))
        signed = formulas.sign(self.hardware, formulas.tag("simulated") + data)
        evidence = formulas.encode({1: data, 2: formulas.spki(self.hardware), 3: signed})
        self.first = frame(EVIDENCE, formulas.encode({
            1: nonce, 2: {"255.0": [MEDIA, evidence, 4]}, 3: public, 4: [], 5: 0,
            6: CONFIGURATION,
            8: formulas.sign(self.binding, formulas.to_sign(formulas.ALL, EVIDENCE, value))}))
        return self.first


class Frames:
    """As much of HTTP/2 as one answer takes that goes on for seconds.

    One thread reads and writes: Python's `ssl` lets no two into one connection.
    """

    def __init__(self, channel, server):
        self.channel, self.server = channel, server
        self.exchange, self.stream, self.left = b"", 0, 0

    def send(self, kind, flags, stream, payload=b""):
        self.channel.send(len(payload).to_bytes(3, "big") + bytes([kind, flags])
                          + stream.to_bytes(4, "big") + payload)

    def run(self):
        assert self.channel.exactly(24) == b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        self.send(SETTINGS, 0, 0)
        self.channel.tls.settimeout(PIECE)
        due = time.monotonic()
        while True:
            if self.left and time.monotonic() >= due:
                due = time.monotonic() + PIECE
                self.left -= 1
                self.send(DATA, 0 if self.left else 1, self.stream, b"x")
            if whole := self.next():
                self.handle(*whole)

    def next(self):
        """The next frame; nothing where it is not whole in time."""
        channel = self.channel
        while len(channel.buffer) < 9 or (
                len(channel.buffer) < 9 + int.from_bytes(channel.buffer[:3], "big")):
            try:
                piece = channel.tls.recv(65536)
            except TimeoutError:
                return None
            if not piece:
                raise Refused("the caller ended")
            channel.buffer += piece
        head = channel.exactly(9)
        payload = channel.exactly(int.from_bytes(head[:3], "big"))
        return head[3], head[4], int.from_bytes(head[5:], "big"), payload

    def handle(self, kind, flags, stream, payload):
        if kind == SETTINGS and not flags & 1:
            self.send(SETTINGS, 1, 0)
        elif kind == PING and not flags & 1:
            self.send(PING, 1, 0, payload)
        elif kind == HEADERS:
            # `:status: 200` is entry 8 of HPACK's static table; then four seconds of pieces.
            self.send(HEADERS, 4, stream, b"\x88")
            self.stream, self.left = stream, 200
        elif kind == EXCHANGE:
            self.take(payload)

    def take(self, payload):
        self.exchange += payload
        while len(self.exchange) >= 4:
            length = int.from_bytes(self.exchange[1:4], "big")
            if len(self.exchange) < 4 + length:
                return
            kind, body = self.exchange[0], self.exchange[4:4 + length]
            self.exchange = self.exchange[4 + length:]
            if kind == CHALLENGE:
                self.server.challenges += 1
                answer = self.server.answer(self.channel, body, self.server.challenges)
                self.send(EXCHANGE, 0, 0, answer)
            elif kind == RESULT:
                self.server.results.append(formulas.decode(body))


def fails_against_ratel(place):
    clock = Clock(place.folder, 10)
    for turns in (False, True):
        port = free_port()
        with Turned(place.servers, turns) as server:
            process = Process(
                f"turned{turns}", [
                    place.ratel, "connect", f"127.0.0.1:{server.port}", "--policy",
                    place.write(POLICY), "--listen", f"127.0.0.1:{port}",
                ], place.folder, clock.environment)
            with process:
                process.wait_for_port(port)
                with Client(port) as client:
                    client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                    answer = client.answer()
            # Four seconds are forty: time for two more challenges.
            assert server.challenges >= 1, process.text()[-1500:]
            codes = [result[1] for result in server.results]
            if turns:
                assert not answer.complete and codes[-1] != 0, (codes, process.text()[-1500:])
                assert "binding.signature.invalid" in process.text()
            else:
                assert answer.complete and set(codes) == {0}, (codes, process.text()[-1500:])
