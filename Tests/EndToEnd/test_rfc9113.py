"""What RFC 9113 says a peer must not do, done to `serve`; each case names its section."""

import struct

import rawh2
from rawh2 import (ACK, CALM, CONTINUATION, DATA, END_HEADERS, END_STREAM, FLOW, GOAWAY, HEADERS,
                   PING, POST, PROTOCOL, REFUSED, REQUEST, RESET, SETTINGS, WINDOW, RawH2)
from rfc9113 import CASES, CONNECTION, FINE, STREAM, number, setting
from test_http2 import echo, serving


def backend(connection):
    """Echoes, and holds what is asked to be held."""
    request = connection.request()
    if request.target == "/held":
        connection.wait_for_end(10)
    else:
        body = request.body
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


def test_each_rule(context):
    context.backend.handler = backend
    wrong = []
    with serving(context) as port:
        for section, what, act, where, codes in CASES:
            with RawH2(port) as client:
                act(client)
                ended, code = client.outcome()
            good = ended == where or (where == STREAM and ended == CONNECTION)
            if not good or (codes and code not in codes):
                wrong.append(f"{section}, {what}: the {where} with {codes}, but {ended} {code}")
    print(f"    {len(CASES)} cases")
    assert not wrong, "\n".join(wrong)


def test_3_4_a_connection_begins_with_the_preface_and_settings(context):
    context.backend.handler = echo
    with serving(context) as port:
        for begin in (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"):
            with RawH2(port, begins=False) as client:
                client.raw(begin)
                assert client.outcome()[0] == CONNECTION, begin
        with RawH2(port, begins=False) as client:
            client.raw(rawh2.PREFACE)
            client.send(PING, payload=b"12345678")
            assert client.outcome() == (CONNECTION, PROTOCOL)


def test_5_1_2_streams_beyond_the_limit_are_refused(context):
    context.backend.handler = backend
    with serving(context) as port, RawH2(port) as client:
        first = client.frame()
        assert first.kind == SETTINGS
        limits = dict(struct.iter_unpack(">HI", first.payload))
        client.send(SETTINGS, ACK)
        for index in range(limits[3] + 1):
            client.request(2 * index + 1, [*REQUEST[:3], (":path", "/held")])
        # A stream's error may be taken for the connection's (section 5.4.2).
        assert client.outcome() in ((STREAM, REFUSED), (CONNECTION, PROTOCOL))


def test_6_5_3_settings_are_acknowledged_in_order(context):
    with serving(context) as port, RawH2(port) as client:
        client.send(SETTINGS, payload=setting(4, 100))
        client.send(SETTINGS, payload=setting(1, 0))
        assert client.outcome()[0] == FINE
        acknowledged = [f for f in client.seen if f.kind == SETTINGS and f.flags & ACK]
        assert len(acknowledged) == 3 and not any(f.payload for f in acknowledged)


def test_6_7_pings_are_answered_with_what_they_carry(context):
    with serving(context) as port, RawH2(port) as client:
        client.send(PING, payload=b"abcdefgh")
        client.send(PING, ACK, payload=b"not sent")
        assert client.outcome()[0] == FINE
        answers = [frame.payload for frame in client.seen if frame.kind == PING]
        assert answers == [b"abcdefgh", b"outcome!", b"outcome!"], answers


def test_6_8_goaway_names_the_last_stream_and_those_before_it_end(context):
    """A caller that goes away still gets the answers that it asked for."""
    context.backend.handler = backend
    with serving(context) as port, RawH2(port) as client:
        client.request(1)
        client.send(GOAWAY, payload=number(0) + number(0))
        assert client.answer(1)[0][":status"] == "200"


def test_6_9_1_no_more_is_sent_than_the_windows_allow(context):
    """A window of one byte makes pieces of one byte, and each waits for its own."""
    context.backend.handler = backend
    with serving(context) as port, RawH2(port, settings=setting(4, 1)) as client:
        client.request(1, [*POST, ("content-length", "3")], ends=False)
        client.send(DATA, END_STREAM, 1, b"abc")
        body = b""
        for grant in (1, 1):
            frame = client.until(lambda frame: frame.kind == DATA)[-1]
            assert len(frame.payload) == 1
            body += frame.payload
            assert client.outcome()[0] == FINE
            assert not [f for f in client.seen[client.seen.index(frame) + 1:] if f.kind == DATA]
            client.send(WINDOW, 0, 1, number(grant))
        frame = client.until(lambda frame: frame.kind == DATA)[-1]
        assert body + frame.payload == b"abc" and frame.flags & END_STREAM


def test_6_9_2_settings_change_the_windows_of_streams_that_stand(context):
    """They may become negative, and then wait for as much more."""
    context.backend.handler = backend
    with serving(context) as port, RawH2(port, settings=setting(4, 3)) as client:
        client.request(1, [*POST, ("content-length", "6")], ends=False)
        client.send(DATA, END_STREAM, 1, b"abcdef")
        assert client.until(lambda frame: frame.kind == DATA)[-1].payload == b"abc"
        client.send(SETTINGS, payload=setting(4, 1))  # -2 now
        client.send(WINDOW, 0, 1, number(2))  # 0
        before = len(client.seen)
        assert client.outcome()[0] == FINE
        assert not [frame for frame in client.seen[before:] if frame.kind == DATA]
        client.send(SETTINGS, payload=setting(4, 4))  # 3
        frame = client.until(lambda frame: frame.kind == DATA)[-1]
        assert frame.payload == b"def" and frame.flags & END_STREAM


def test_6_9_a_caller_that_sends_more_than_its_window_is_ended(context):
    def holding(connection):
        connection.head()
        connection.wait_for_end(10)

    context.backend.handler = holding
    with serving(context) as port, RawH2(port) as client:
        client.request(1, POST, ends=False)
        for _ in range(200):  # 3.2 MiB; the backend reads none of it
            client.send(DATA, 0, 1, b"x" * 16384)
        ended, code = client.outcome()
        assert ended in (STREAM, CONNECTION) and code == FLOW, (ended, code)


def test_8_1_an_answer_may_come_before_the_request_is_whole(context):
    """Then the rest is not asked for: RST_STREAM with NO_ERROR behind the answer."""

    def early(connection):
        connection.head()
        connection.send(b"HTTP/1.1 413 No\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")

    context.backend.handler = early
    with serving(context) as port, RawH2(port) as client:
        client.request(1, POST, ends=False)
        client.send(DATA, 0, 1, b"x" * 100)
        fields, body = client.answer(1)
        assert fields[":status"] == "413" and body == b"big"
        assert client.until(lambda frame: frame.kind == RESET)[-1].code == rawh2.NO_ERROR


def test_8_1_trailers_pass_both_ways(context):
    seen = []

    def handler(connection):
        head = connection.head()
        while b"0\r\n" not in connection.buffer or not connection.buffer.endswith(b"\r\n\r\n"):
            connection.fill()
        seen.append((head, connection.buffer))
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                        b"2\r\nok\r\n0\r\nX-Sum: 7\r\nX-Other:  a b \r\n\r\n")

    context.backend.handler = handler
    with serving(context) as port, RawH2(port) as client:
        client.request(1, POST, ends=False)
        client.send(DATA, 0, 1, b"abc")
        client.send(HEADERS, END_HEADERS | END_STREAM, 1, client.block([("x-sum", "5")]))
        fields, body = client.answer(1)
        assert body == b"ok" and fields[":status"] == "200"
        assert fields["x-sum"] == "7" and fields["x-other"] == "a b", fields
        assert seen[0][1].endswith(b"0\r\nx-sum: 5\r\n\r\n"), seen[0][1]


def test_8_1_trailers_that_would_change_the_request_are_refused(context):
    """RFC 9110 section 6.5.1: some receivers merge them into the fields."""
    context.backend.handler = backend
    with serving(context) as port:
        for name in ("content-length", "authorization", "x-ratel-peer", "x-forwarded-for"):
            with RawH2(port) as client:
                client.request(1, POST, ends=False)
                client.send(HEADERS, END_HEADERS | END_STREAM, 1, client.block([(name, "1")]))
                frames = client.until(
                    lambda f: f.stream and (f.kind == RESET or f.flags & END_STREAM))
                head = [frame for frame in frames if frame.kind == HEADERS]
                refused = frames[-1].kind == RESET
                status = head and client.decoder.decode(head[0].payload)[0][1]
                assert refused or status == "400", (name, status, frames)


def test_10_5_1_a_header_list_beyond_the_limit_is_refused(context):
    context.backend.handler = backend
    with serving(context) as port, RawH2(port) as client:
        block = client.block([*REQUEST, *[(f"x-{index}", "v" * 1000) for index in range(40)]])
        client.send(HEADERS, END_STREAM, 1, block[:16000])
        client.send(CONTINUATION, 0, 1, block[16000:32000])
        client.send(CONTINUATION, END_HEADERS, 1, block[32000:])
        fields, body = client.answer(1)
        assert fields[":status"] == "431" and b"http.head.too_large" in body, (fields, body)
        client.request(3)
        assert client.answer(3)[0][":status"] == "200"
        # The field that is too long stands before those that make a head of it.
        block = client.block([(":path", "/" + "a" * 17_000), *REQUEST[:-1]])
        client.send(HEADERS, END_STREAM, 5, block[:16000])
        client.send(CONTINUATION, END_HEADERS, 5, block[16000:])
        assert client.answer(5)[0][":status"] == "431"


def test_10_5_1_trailers_beyond_the_limit_are_not_cut_short(context):
    """What is left of them must not pass for all of them."""
    context.backend.handler = backend
    with serving(context) as port, RawH2(port) as client:
        client.request(1, POST, ends=False)
        client.send(DATA, 0, 1, b"body")
        block = client.block([("x-long", "v" * 20_000), ("x-short", "v")])
        client.send(HEADERS, END_STREAM, 1, block[:16000])
        client.send(CONTINUATION, END_HEADERS, 1, block[16000:])
        assert client.outcome() == ("stream", CALM)


def test_10_5_a_block_without_an_end_is_ended(context):
    """CVE-2024-27316 and its kin: CONTINUATION for ever."""
    with serving(context) as port, RawH2(port) as client:
        client.send(HEADERS, END_STREAM, 1, client.block(REQUEST))
        for _ in range(1000):
            client.send(CONTINUATION, 0, 1, b"\0\x01a\x01b" * 100)
        ended, code = client.outcome()
        assert ended == CONNECTION and code in (CALM, PROTOCOL, None, 2), (ended, code)


def test_10_5_a_block_beyond_the_limit_is_ended(context):
    """In few frames, so that it is its bytes that count."""
    with serving(context) as port, RawH2(port) as client:
        client.send(HEADERS, END_STREAM, 1, client.block(REQUEST))
        for index in range(8):
            client.send(CONTINUATION, END_HEADERS if index == 7 else 0, 1, b"\0\x01a\x01b" * 3200)
        ended = client.outcome()
        assert ended == (CONNECTION, CALM), ended
