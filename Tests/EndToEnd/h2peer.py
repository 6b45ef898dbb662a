"""HTTP/2 from the client's side, by Python's `h2`: frames as a test wants them."""

import contextlib
import socket
import ssl
import time

import h2.config
import h2.connection
import h2.events
import h2.exceptions


class H2Client:
    """One connection; `events` has what came, in order, with its time."""

    def __init__(self, port, protocol="h2", window=None, validates=True, timeout=20):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols([protocol])
        plain = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = context.wrap_socket(plain)
        assert self.socket.selected_alpn_protocol() == protocol
        self.connection = h2.connection.H2Connection(h2.config.H2Configuration(
            header_encoding="utf-8", validate_outbound_headers=validates,
            normalize_outbound_headers=validates))
        self.connection.initiate_connection()
        if window is not None:
            self.connection.update_settings({4: window})
        self.events, self.closed = [], False
        self.grants = True
        self.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def flush(self):
        data = self.connection.data_to_send()
        if data:
            self.socket.sendall(data)

    def raw(self, data):
        self.socket.sendall(data)

    def frame(self, kind, flags, stream, payload=b""):
        self.raw(len(payload).to_bytes(3, "big") + bytes([kind, flags])
                 + stream.to_bytes(4, "big") + payload)

    def request(self, path="/", method="GET", body=None, fields=(), ends=True):
        stream = self.connection.get_next_available_stream_id()
        head = [(":method", method), (":path", path), (":scheme", "https"), (":authority", "h")]
        self.connection.send_headers(stream, head + list(fields), end_stream=body is None and ends)
        self.flush()
        if body is not None:
            self.send(stream, body, ends)
        return stream

    def send(self, stream, body, ends=True):
        while body:
            room = min(self.connection.local_flow_control_window(stream), 16384)
            if room == 0:
                self.step()
                continue
            self.connection.send_data(stream, body[:room])
            body = body[room:]
            self.flush()
        if ends:
            self.connection.end_stream(stream)
            self.flush()

    def step(self):
        """Reads once and notes what it brought."""
        try:
            data = self.socket.recv(65536)
        except (ConnectionResetError, ssl.SSLError):
            data = b""
        if not data:
            self.closed = True
            return False
        for event in self.connection.receive_data(data):
            event.at = time.monotonic()
            self.events.append(event)
            if isinstance(event, h2.events.DataReceived) and self.grants:
                self.connection.acknowledge_received_data(
                    event.flow_controlled_length, event.stream_id)
        # A connection that was ended is still read to its end.
        with contextlib.suppress(OSError):
            self.flush()
        return True

    def read_to_end(self):
        """Reads without a look at it, until the server ends the connection."""
        with contextlib.suppress(ConnectionResetError, ssl.SSLError):
            while self.socket.recv(65536):
                pass

    def until(self, done):
        while not done():
            if not self.step():
                return False
        return True

    def of(self, kind, stream=None):
        return [event for event in self.events if isinstance(event, kind)
                and (stream is None or getattr(event, "stream_id", None) == stream)]

    def answer(self, stream):
        """Status, fields and body of a complete answer; None where the stream was reset."""
        self.until(lambda: self.of(h2.events.StreamEnded, stream)
                   or self.of(h2.events.StreamReset, stream))
        if not self.of(h2.events.StreamEnded, stream):
            return None
        head = dict(self.of(h2.events.ResponseReceived, stream)[0].headers)
        body = b"".join(event.data for event in self.of(h2.events.DataReceived, stream))
        return int(head.pop(":status")), head, body
