"""What RFC 9113 says a client must not do, as frames; each case names its section."""

import struct

import rawh2
from rawh2 import (ACK, CLOSED, COMPRESSION, CONTINUATION, DATA, END_HEADERS, END_STREAM,
                   FLOW, GOAWAY, HEADERS, PADDED, PING, POST, PRIORITISED, PRIORITY, PROTOCOL, PUSH,
                   REQUEST, RESET, SETTINGS, SIZE, WINDOW)

CONNECTION, STREAM, FINE = "connection", "stream", "fine"


def setting(name, value):
    return struct.pack(">HI", name, value)


def number(value):
    return struct.pack(">I", value)


def half_closed(client):
    """A stream whose request is complete and whose answer waits for the backend."""
    client.request(1, [(":method", "GET"), *REQUEST[1:3], (":path", "/held")])


def closed(client):
    """A stream that both sides ended."""
    client.request(1)
    client.answer(1)


def after_reset(client):
    client.request(1, POST, ends=False)
    client.send(RESET, stream=1, payload=number(rawh2.CANCEL))


def fragments(client, *between):
    """A header block in two frames, with something in the middle."""
    block = client.block(REQUEST)
    client.send(HEADERS, END_STREAM, 1, block[:3])
    for frame in between:
        client.send(*frame)
    client.send(CONTINUATION, END_HEADERS, 1, block[3:])


def with_fields(*fields, method="GET"):
    def act(client):
        client.request(1, [(":method", method), *REQUEST[1:], *fields])

    return act


def exactly(*fields):
    def act(client):
        client.request(1, list(fields))

    return act


def raw_field(name, value):
    """A literal that no encoder would write (RFC 7541 section 6.2.2)."""

    def act(client):
        block = client.block(REQUEST) + b"\0" + bytes([len(name)]) + name
        client.send(HEADERS, END_STREAM | END_HEADERS, 1, block + bytes([len(value)]) + value)

    return act


def sending(*frames):
    def act(client):
        for frame in frames:
            client.send(*frame)

    return act


def then(first, *frames):
    def act(client):
        first(client)
        for frame in frames:
            client.send(*frame)

    return act


def body_of(length, *pieces):
    """A request that says how long its body is, and one that is."""

    def act(client):
        client.request(1, [*POST, ("content-length", str(length))], ends=False)
        for index, piece in enumerate(pieces):
            client.send(DATA, END_STREAM if index == len(pieces) - 1 else 0, 1, piece)

    return act


def trailers(*fields, ends=True):
    def act(client):
        client.request(1, POST, ends=False)
        client.send(HEADERS, END_HEADERS | (END_STREAM if ends else 0), 1,
                    client.block(list(fields)))

    return act


# Section, what is done, how, and what must come of it: where it ends (the stream, the connection)
# and with which codes. A stream's error may always be taken for the connection's (section 5.4.2).
CASES = [
    ("4.1", "a frame of an unknown type", sending((0x77, 0xFF, 0, b"x" * 8)), FINE, ()),
    ("4.1", "flags without a meaning", sending((PING, 0xFE, 0, b"12345678")), FINE, ()),
    ("4.1", "the reserved bit of an identifier", sending((PING, 0, 1 << 31, b"12345678")),
     FINE, ()),
    ("4.2", "DATA longer than SETTINGS_MAX_FRAME_SIZE",
     lambda c: (c.request(1, POST, ends=False), c.send(DATA, 0, 1, b"x" * 16385)),
     CONNECTION, (SIZE,)),
    ("4.2", "HEADERS longer than SETTINGS_MAX_FRAME_SIZE",
     sending((HEADERS, END_HEADERS | END_STREAM, 1, b"\0" * 16385)), CONNECTION, (SIZE,)),
    ("4.3", "a block that is no HPACK", sending((HEADERS, END_HEADERS | END_STREAM, 1, b"\x40")),
     CONNECTION, (COMPRESSION, PROTOCOL)),
    ("4.3", "an index that nothing stands at",
     sending((HEADERS, END_HEADERS | END_STREAM, 1, b"\xff\xff\x7f")), CONNECTION, (COMPRESSION,)),
    ("4.3", "PRIORITY inside a block", lambda c: fragments(c, (PRIORITY, 0, 1, b"\0\0\0\0\0")),
     CONNECTION, (PROTOCOL,)),
    ("4.3", "another stream's HEADERS inside a block",
     lambda c: fragments(c, (HEADERS, END_HEADERS | END_STREAM, 3, b"\x82\x87\x84\x41\x01h")),
     CONNECTION, (PROTOCOL,)),
    ("5.5", "an unknown frame inside a block", lambda c: fragments(c, (0x77, 0, 0, b"")),
     CONNECTION, (PROTOCOL,)),
    ("4.3", "a block in two frames", fragments, FINE, ()),

    ("5.1", "DATA on an idle stream", sending((DATA, END_STREAM, 1, b"x")),
     CONNECTION, (PROTOCOL,)),
    ("5.1", "RST_STREAM on an idle stream", sending((RESET, 0, 1, number(8))),
     CONNECTION, (PROTOCOL,)),
    ("5.1", "WINDOW_UPDATE on an idle stream", sending((WINDOW, 0, 1, number(1))),
     CONNECTION, (PROTOCOL,)),
    ("5.1", "PRIORITY on an idle stream", sending((PRIORITY, 0, 1, b"\0\0\0\0\0")), FINE, ()),
    ("5.1", "DATA on a half-closed stream", then(half_closed, (DATA, 0, 1, b"x")),
     STREAM, (CLOSED,)),
    ("5.1", "HEADERS on a half-closed stream",
     lambda c: (half_closed(c), c.request(1)), STREAM, (CLOSED, PROTOCOL)),
    ("5.1", "WINDOW_UPDATE on a half-closed stream", then(half_closed, (WINDOW, 0, 1, number(9))),
     FINE, ()),
    ("5.1", "DATA on a closed stream", then(closed, (DATA, 0, 1, b"x")),
     STREAM, (CLOSED, PROTOCOL)),
    ("5.1", "HEADERS on a closed stream", lambda c: (closed(c), c.request(1)),
     CONNECTION, (CLOSED, PROTOCOL)),
    ("5.1", "WINDOW_UPDATE and RST_STREAM on a closed stream",
     then(closed, (WINDOW, 0, 1, number(9)), (RESET, 0, 1, number(8))), FINE, ()),
    ("5.1", "DATA after RST_STREAM", then(after_reset, (DATA, 0, 1, b"x")),
     STREAM, (CLOSED, PROTOCOL)),
    ("5.1", "HEADERS after RST_STREAM", lambda c: (after_reset(c), c.request(1)),
     CONNECTION, (CLOSED, PROTOCOL)),
    ("5.1.1", "a stream with an even identifier", lambda c: c.request(2), CONNECTION, (PROTOCOL,)),
    ("5.1.1", "an identifier below the last", lambda c: (c.request(5), c.request(3)),
     CONNECTION, (PROTOCOL, CLOSED)),

    ("6.1", "DATA on stream 0", sending((DATA, 0, 0, b"x")), CONNECTION, (PROTOCOL,)),
    ("6.1", "padding as long as the DATA",
     lambda c: (c.request(1, POST, ends=False), c.send(DATA, PADDED, 1, b"\x05abcd")),
     CONNECTION, (PROTOCOL,)),
    ("6.1", "DATA that is padded",
     lambda c: (c.request(1, POST, ends=False),
                c.send(DATA, PADDED | END_STREAM, 1, b"\x02ab\0\0")), FINE, ()),
    ("6.2", "HEADERS on stream 0", lambda c: c.request(0), CONNECTION, (PROTOCOL,)),
    ("6.2", "padding as long as the HEADERS",
     lambda c: c.send(HEADERS, END_HEADERS | END_STREAM | PADDED, 1, b"\xff" + c.block(REQUEST)),
     CONNECTION, (PROTOCOL,)),
    ("6.2", "HEADERS with padding and a priority",
     lambda c: c.send(HEADERS, END_HEADERS | END_STREAM | PADDED | PRIORITISED, 1,
                      b"\x01\0\0\0\0\x10" + c.block(REQUEST) + b"\0"), FINE, ()),
    ("6.3", "PRIORITY on stream 0", sending((PRIORITY, 0, 0, b"\0\0\0\0\0")),
     CONNECTION, (PROTOCOL,)),
    ("6.3", "PRIORITY of another length", then(half_closed, (PRIORITY, 0, 1, b"\0\0\0\0")),
     STREAM, (SIZE,)),
    ("6.4", "RST_STREAM on stream 0", sending((RESET, 0, 0, number(8))), CONNECTION, (PROTOCOL,)),
    ("6.4", "RST_STREAM of another length", then(half_closed, (RESET, 0, 1, b"\0\0\0")),
     CONNECTION, (SIZE,)),
    ("6.5", "SETTINGS on a stream", sending((SETTINGS, 0, 1, b"")), CONNECTION, (PROTOCOL,)),
    ("6.5", "SETTINGS with a part of a setting", sending((SETTINGS, 0, 0, b"\0\x03\0")),
     CONNECTION, (SIZE,)),
    ("6.5", "an acknowledgement that carries settings",
     sending((SETTINGS, ACK, 0, setting(3, 1))), CONNECTION, (SIZE,)),
    ("6.5.2", "a setting without a meaning", sending((SETTINGS, 0, 0, setting(0x77, 1))), FINE, ()),
    ("6.5.2", "SETTINGS_ENABLE_PUSH of 2", sending((SETTINGS, 0, 0, setting(2, 2))),
     CONNECTION, (PROTOCOL,)),
    ("6.5.2", "SETTINGS_INITIAL_WINDOW_SIZE of 2^31",
     sending((SETTINGS, 0, 0, setting(4, 1 << 31))), CONNECTION, (FLOW,)),
    ("6.5.2", "SETTINGS_MAX_FRAME_SIZE of 16,383", sending((SETTINGS, 0, 0, setting(5, 16383))),
     CONNECTION, (PROTOCOL,)),
    ("6.5.2", "SETTINGS_MAX_FRAME_SIZE of 2^24", sending((SETTINGS, 0, 0, setting(5, 1 << 24))),
     CONNECTION, (PROTOCOL,)),
    ("6.6", "PUSH_PROMISE from a client",
     lambda c: (c.request(1), c.send(PUSH, END_HEADERS, 1, number(2) + c.block(REQUEST))),
     CONNECTION, (PROTOCOL,)),
    ("6.7", "PING on a stream", sending((PING, 0, 1, b"12345678")), CONNECTION, (PROTOCOL,)),
    ("6.7", "PING of another length", sending((PING, 0, 0, b"123456")), CONNECTION, (SIZE,)),
    ("6.8", "GOAWAY on a stream", sending((GOAWAY, 0, 1, b"\0" * 8)), CONNECTION, (PROTOCOL,)),
    ("6.8", "GOAWAY too short", sending((GOAWAY, 0, 0, b"\0" * 7)), CONNECTION, (SIZE,)),
    ("6.9", "WINDOW_UPDATE of 0 for the connection", sending((WINDOW, 0, 0, number(0))),
     CONNECTION, (PROTOCOL,)),
    ("6.9", "WINDOW_UPDATE of 0 for a stream", then(half_closed, (WINDOW, 0, 1, number(0))),
     STREAM, (PROTOCOL,)),
    ("6.9", "WINDOW_UPDATE of another length", sending((WINDOW, 0, 0, b"\0\0\x01")),
     CONNECTION, (SIZE,)),
    ("6.9.1", "a window of the connection beyond 2^31 - 1",
     sending((WINDOW, 0, 0, number((1 << 31) - 1))), CONNECTION, (FLOW,)),
    ("6.9.1", "a window of a stream beyond 2^31 - 1",
     then(half_closed, (WINDOW, 0, 1, number((1 << 31) - 1))), STREAM, (FLOW,)),
    ("6.9.2", "settings that lift a window beyond 2^31 - 1",
     then(half_closed, (WINDOW, 0, 1, number((1 << 31) - 65536)),
          (SETTINGS, 0, 0, setting(4, (1 << 31) - 1))), STREAM, (FLOW,)),
    ("6.10", "CONTINUATION behind a whole block",
     lambda c: (half_closed(c), c.send(CONTINUATION, END_HEADERS, 1, b"")),
     CONNECTION, (PROTOCOL,)),
    ("6.10", "CONTINUATION on stream 0",
     lambda c: (c.send(HEADERS, END_STREAM, 1, c.block(REQUEST)),
                c.send(CONTINUATION, END_HEADERS, 0, b"")), CONNECTION, (PROTOCOL,)),
    ("6.10", "CONTINUATION of another stream",
     lambda c: (c.send(HEADERS, END_STREAM, 1, c.block(REQUEST)),
                c.send(CONTINUATION, END_HEADERS, 3, b"")), CONNECTION, (PROTOCOL,)),
    ("6.10", "CONTINUATION that no HEADERS begin", sending((CONTINUATION, END_HEADERS, 1, b"")),
     CONNECTION, (PROTOCOL,)),

    ("8.1", "a second HEADERS that does not end the stream", trailers(("a", "b"), ends=False),
     STREAM, (PROTOCOL,)),
    ("8.1", "a pseudo-header field among trailers", trailers((":method", "GET")),
     STREAM, (PROTOCOL,)),
    ("8.1", "trailers", trailers(("x-sum", "5")), FINE, ()),
    ("8.1.1", "a body shorter than content-length", body_of(5, b"abc"), STREAM, (PROTOCOL,)),
    ("8.1.1", "a body longer than content-length", body_of(5, b"abc", b"def"), STREAM, (PROTOCOL,)),
    ("8.1.1", "a body as long as content-length", body_of(6, b"abc", b"def"), FINE, ()),
    ("8.1.1", "no body where content-length is 1", with_fields(("content-length", "1")),
     STREAM, (PROTOCOL,)),
    ("8.2.1", "a name in upper case", raw_field(b"X-Up", b"a"), STREAM, (PROTOCOL,)),
    ("8.2.1", "a name with a blank", raw_field(b"x up", b"a"), STREAM, (PROTOCOL,)),
    ("8.2.1", "a name with a colon in it", raw_field(b"x:up", b"a"), STREAM, (PROTOCOL,)),
    ("8.2.1", "an empty name", raw_field(b"", b"a"), STREAM, (PROTOCOL,)),
    ("8.2.1", "NUL in a value", raw_field(b"x", b"a\0b"), STREAM, (PROTOCOL,)),
    ("8.2.1", "CR in a value", raw_field(b"x", b"a\rb"), STREAM, (PROTOCOL,)),
    ("8.2.1", "LF in a value", raw_field(b"x", b"a\nb"), STREAM, (PROTOCOL,)),
    ("8.2.1", "a value that begins with a blank", raw_field(b"x", b" a"), STREAM, (PROTOCOL,)),
    ("8.2.1", "a value that ends with a blank", raw_field(b"x", b"a\t"), STREAM, (PROTOCOL,)),
    ("8.2.2", "connection", with_fields(("connection", "keep-alive")), STREAM, (PROTOCOL,)),
    ("8.2.2", "keep-alive", with_fields(("keep-alive", "1")), STREAM, (PROTOCOL,)),
    ("8.2.2", "proxy-connection", with_fields(("proxy-connection", "close")), STREAM, (PROTOCOL,)),
    ("8.2.2", "transfer-encoding", with_fields(("transfer-encoding", "chunked")),
     STREAM, (PROTOCOL,)),
    ("8.2.2", "upgrade", with_fields(("upgrade", "h2c")), STREAM, (PROTOCOL,)),
    ("8.2.2", "te that asks for more than trailers", with_fields(("te", "gzip")),
     STREAM, (PROTOCOL,)),
    ("8.2.2", "te: trailers", with_fields(("te", "trailers")), FINE, ()),
    ("8.3", "a pseudo-header field without a meaning", with_fields((":odd", "1")),
     STREAM, (PROTOCOL,)),
    ("8.3", "a pseudo-header field of answers", with_fields((":status", "200")),
     STREAM, (PROTOCOL,)),
    ("8.3", "a pseudo-header field behind a field",
     exactly(*REQUEST[:3], ("a", "b"), (":path", "/")), STREAM, (PROTOCOL,)),
    ("8.3", "a pseudo-header field twice", with_fields((":path", "/")), STREAM, (PROTOCOL,)),
    ("8.3.1", "no :method", exactly(*REQUEST[1:]), STREAM, (PROTOCOL,)),
    ("8.3.1", "no :scheme", exactly(REQUEST[0], *REQUEST[2:]), STREAM, (PROTOCOL,)),
    ("8.3.1", "no :path", exactly(*REQUEST[:3]), STREAM, (PROTOCOL,)),
    ("8.3.1", "an empty :path", exactly(*REQUEST[:3], (":path", "")), STREAM, (PROTOCOL,)),
    ("8.5", "CONNECT with :scheme and :path", with_fields(method="CONNECT"), STREAM, (PROTOCOL,)),
]
