"""Challenges on an open connection of HTTP/2, by hand: frames of type 0xF1 beside its streams."""

import h2.connection
import h2.events
from third_party import PATH, Caller, challenge, server

import verify_session as client  # noqa: E402, I001


def test_every_way_to_ask_shares_its_numbers(context):
    """The exchange, the endpoint and a challenge on the open connection, in turn."""
    with server(context) as one, Caller(one.port, "ratel/1+h2") as caller:
        pins = one.pins()
        asked = challenge()
        caller.tls.sendall(framed(1, asked))
        assert caller.frame() == (1, b"\xa0")
        kind, body = caller.frame()
        assert kind == 2
        client.check(body, asked, 0, caller.secret, caller.spki, pins)
        caller.tls.sendall(framed(4, b"\xa1\1\0"))
        peer = OpenConnection(caller.tls)
        sequence = 1
        for ask in (peer.post, peer.challenge, peer.post):
            asked = challenge()
            client.check(ask(asked), asked, sequence, caller.secret, caller.spki, pins)
            sequence += 1
        # A second one within 10 s ends the connection.
        peer.send_exchange(framed(1, challenge()))
        assert b"exchange.challenge.repeated" in peer.exchange(4)
        assert peer.ends()


def test_the_exchange_has_no_place_on_a_stream(context):
    with server(context) as one, Caller(one.port, "ratel/1+h2") as caller:
        caller.tls.sendall(framed(1, b"\xa0"))
        assert caller.frame() == (1, b"\xa0")
        peer = OpenConnection(caller.tls)
        assert peer.post(challenge())
        peer.send_exchange(framed(1, challenge()), stream=1)
        assert peer.ends()


def test_frames_of_the_exchange_may_come_in_pieces(context):
    """They are a byte stream, however it is cut into frames, and between other frames."""
    with server(context) as one, Caller(one.port, "ratel/1+h2") as caller:
        pins = one.pins()
        caller.tls.sendall(framed(1, b"\xa0"))
        assert caller.frame() == (1, b"\xa0")
        peer = OpenConnection(caller.tls)
        asked = challenge()
        whole = framed(1, asked)
        for piece in (whole[:1], whole[1:5], b"", whole[5:]):
            peer.send_exchange(piece)
            peer.ping()
        client.check(peer.exchange(2), asked, 0, caller.secret, caller.spki, pins)


def framed(kind, body):
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


class OpenConnection:
    """HTTP/2 behind an exchange, with frames of type 0xF1 beside the streams."""

    def __init__(self, tls):
        self.tls, self.came, self.is_told = tls, b"", False
        self.connection = h2.connection.H2Connection()
        self.connection.initiate_connection()
        tls.sendall(self.connection.data_to_send())

    def events(self):
        data = self.tls.recv(65536)
        assert data, "the connection ended"
        found = self.connection.receive_data(data)
        self.tls.sendall(self.connection.data_to_send())
        for event in found:
            self.is_told |= isinstance(event, h2.events.ConnectionTerminated)
            if isinstance(event, h2.events.UnknownFrameReceived):
                assert event.frame.type == 0xF1 and event.frame.stream_id == 0
                self.came += event.frame.body
        return found

    def post(self, body):
        stream = self.connection.get_next_available_stream_id()
        self.connection.send_headers(stream, [
            (":method", "POST"), (":path", PATH), (":scheme", "https"), (":authority", "h"),
            ("content-type", "application/cbor")])
        self.connection.send_data(stream, body, end_stream=True)
        self.tls.sendall(self.connection.data_to_send())
        answer, is_over = b"", False
        while not is_over:
            for event in self.events():
                if isinstance(event, h2.events.DataReceived):
                    answer += event.data
                is_over = is_over or isinstance(event, h2.events.StreamEnded)
        return answer

    def challenge(self, body):
        self.send_exchange(framed(1, body))
        answer = self.exchange(2)
        self.send_exchange(framed(4, b"\xa1\1\0"))
        return answer

    def ping(self):
        self.connection.ping(b"12345678")
        self.tls.sendall(self.connection.data_to_send())

    def ends(self):
        """Whether the server ends the connection, and says GOAWAY before."""
        while True:
            try:
                self.events()
            except (OSError, AssertionError):
                return self.is_told

    def send_exchange(self, data, stream=0):
        self.tls.sendall(len(data).to_bytes(3, "big") + b"\xf1\0" + stream.to_bytes(4, "big")
                         + data)

    def exchange(self, kind):
        """The body of the next frame of the exchange, which is of this kind."""
        while len(self.came) < 4 or len(self.came) < 4 + int.from_bytes(self.came[1:4], "big"):
            self.events()
        size = 4 + int.from_bytes(self.came[1:4], "big")
        frame, self.came = self.came[:size], self.came[size:]
        assert frame[0] == kind, frame
        return frame[4:]
