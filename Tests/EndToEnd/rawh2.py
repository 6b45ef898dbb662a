"""HTTP/2 frame by frame, for what no library would send."""

import socket
import ssl
import struct

import hpack

DATA, HEADERS, PRIORITY, RESET, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
ACK = END_STREAM = 1
END_HEADERS, PADDED, PRIORITISED = 4, 8, 32
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

NO_ERROR, PROTOCOL, INTERNAL, FLOW, SETTINGS_TIMEOUT, CLOSED, SIZE, REFUSED, CANCEL, COMPRESSION, \
    CONNECT, CALM = range(12)

REQUEST = [(":method", "GET"), (":scheme", "https"), (":authority", "h"), (":path", "/")]
POST = [(":method", "POST"), *REQUEST[1:]]


class Frame:
    def __init__(self, kind, flags, stream, payload):
        self.kind, self.flags, self.stream, self.payload = kind, flags, stream, payload

    @property
    def code(self):
        """The error code of RST_STREAM and GOAWAY."""
        return struct.unpack(">I", self.payload[4:8] if self.kind == GOAWAY else self.payload)[0]

    def __repr__(self):
        return f"kind {self.kind} flags {self.flags} stream {self.stream} {self.payload[:24]!r}"


class RawH2:
    """One connection over TLS; nothing is sent but what is asked for."""

    def __init__(self, port, begins=True, settings=b""):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        plain = socket.create_connection(("127.0.0.1", port), timeout=10)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = context.wrap_socket(plain)
        self.buffer, self.seen = b"", []
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        if begins:
            self.raw(PREFACE)
            self.send(SETTINGS, payload=settings)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def raw(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            pass  # It may have ended the connection already; `outcome` says with what.

    def send(self, kind, flags=0, stream=0, payload=b"", length=None):
        length = len(payload) if length is None else length
        self.raw(length.to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
                 + payload)

    def block(self, fields):
        return self.encoder.encode(fields)

    def request(self, stream=1, fields=None, ends=True, flags=END_HEADERS):
        """A request's HEADERS."""
        flags |= END_STREAM if ends else 0
        self.send(HEADERS, flags, stream, self.block(REQUEST if fields is None else fields))

    def frame(self):
        """The next frame; None when the connection is over."""
        while len(self.buffer) < 9 or len(self.buffer) < 9 + int.from_bytes(self.buffer[:3], "big"):
            try:
                data = self.socket.recv(65536)
            except (ConnectionResetError, ssl.SSLError):
                data = b""
            if not data:
                return None
            self.buffer += data
        length = int.from_bytes(self.buffer[:3], "big")
        kind, flags = self.buffer[3], self.buffer[4]
        stream = int.from_bytes(self.buffer[5:9], "big")
        payload, self.buffer = self.buffer[9:9 + length], self.buffer[9 + length:]
        frame = Frame(kind, flags, stream, payload)
        self.seen.append(frame)
        return frame

    def until(self, wanted):
        """Frames up to the first that `wanted` says yes to, which is the last of them."""
        frames = []
        while frame := self.frame():
            frames.append(frame)
            if wanted(frame):
                return frames
        raise AssertionError(f"it never came: {frames}")

    def outcome(self):
        """What became of all that was sent: ("connection", code) where it ended, ("stream", code)
        where a stream was reset, ("fine", None) where nothing was wrong."""
        marker, wanted = b"outcome!", 2
        self.send(PING, payload=marker)
        result = ("fine", None)
        while frame := self.frame():
            if frame.kind == GOAWAY:
                result = ("connection", frame.code)
            elif frame.kind == RESET and result[0] == "fine":
                result = ("stream", frame.code)
            elif frame.kind == PING and frame.flags & ACK and frame.payload == marker:
                # An answer to a ping may go before what went wrong earlier; the next one does not.
                wanted -= 1
                if not wanted:
                    return result
                self.send(PING, payload=marker)
        # Over: with GOAWAY it said why, without it did not.
        return result if result[0] == "connection" else ("connection", None)

    def answer(self, stream=1):
        """Status, fields and body of an answer."""
        fields, body, ended = [], b"", False
        while not ended:
            frame = self.frame()
            assert frame, "the connection ended before the answer did"
            if frame.stream == 0:
                assert frame.kind != GOAWAY, f"GOAWAY {frame.code}"
            elif frame.kind == HEADERS:
                found = self.decoder.decode(frame.payload)
                fields += found if frame.stream == stream else []
            elif frame.kind == DATA and frame.stream == stream:
                body += frame.payload
            elif frame.kind == RESET and frame.stream == stream:
                raise AssertionError(f"reset {frame.code}")
            ended = frame.stream == stream and frame.flags & END_STREAM
        return dict(fields), body
