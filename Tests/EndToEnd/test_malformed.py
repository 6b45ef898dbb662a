"""Messages with two readings are refused, whichever side sends them, and nothing is passed on."""

import socket
import ssl

from backend import CHUNKED
from wire import Client, TLSClient, ask, get


def request(*lines, start="POST / HTTP/1.1", host="Host: h", body=b""):
    fields = "".join(f"{line}\r\n" for line in ((host,) if host else ()) + lines)
    return f"{start}\r\n{fields}\r\n".encode("latin-1") + body


CHUNKED_LINE = "Transfer-Encoding: chunked"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
# Each with the status that answers it.
HEADS = {
    "both lengths": (request("Content-Length: 3", CHUNKED_LINE, body=b"0\r\n\r\n"), 400),
    "both lengths, other order": (request(CHUNKED_LINE, "Content-Length: 3"), 400),
    "two lengths": (request("Content-Length: 3", "Content-Length: 4", body=b"abcd"), 400),
    "two equal lengths": (request("Content-Length: 3", "Content-Length: 3", body=b"abc"), 400),
    "a list of lengths": (request("Content-Length: 3, 3", body=b"abc"), 400),
    "a signed length": (request("Content-Length: +3", body=b"abc"), 400),
    "a negative length": (request("Content-Length: -3"), 400),
    "no length": (request("Content-Length:"), 400),
    "a hexadecimal length": (request("Content-Length: 0x3", body=b"abc"), 400),
    "a length past 64 bits": (request("Content-Length: 18446744073709551619", body=b"abc"), 413),
    "a blank before the colon": (request("Content-Length : 3", body=b"abc"), 400),
    "a tab before the colon": (request("Transfer-Encoding\t: chunked"), 400),
    "a bare LF": (request("A: b\nContent-Length: 3", body=b"abc"), 400),
    "a bare CR": (request("A: b\rContent-Length: 3"), 400),
    "LF for the whole head": (b"GET / HTTP/1.1\nHost: h\n\n", 400),
    "a folded line": (request("A: b", " c"), 400),
    "a folded coding": (request("Transfer-Encoding:", " chunked"), 400),
    "a NUL": (request("A: b\0c"), 400),
    "a colon without a name": (request(": b"), 400),
    "a line without a colon": (request("b"), 400),
    "an unknown coding": (request("Transfer-Encoding: gzip"), 501),
    "identity": (request("Transfer-Encoding: identity"), 501),
    "chunked twice": (request(CHUNKED_LINE, CHUNKED_LINE), 400),
    "chunked not last": (request("Transfer-Encoding: chunked, gzip"), 400),
    "a coding behind a vertical tab": (request("Transfer-Encoding: \x0bchunked"), 400),
    "a quoted coding": (request('Transfer-Encoding: "chunked"'), 400),
    "chunked in HTTP/1.0": (request(CHUNKED_LINE, start="POST / HTTP/1.0"), 400),
    "absolute-form": (request(start="GET http://other/ HTTP/1.1"), 400),
    "authority-form": (request(start="CONNECT h:80 HTTP/1.1"), 501),
    "no Host": (request(host=None), 400),
    "two Hosts": (request("Host: other"), 400),
    "a Host with a path": (request(host="Host: h/x"), 400),
    "a Host with a user": (request(host="Host: u@h"), 400),
    "a fragment": (request(start="GET /#x HTTP/1.1"), 400),
    "a space in the target": (request(start="GET /a b HTTP/1.1"), 400),
    "a byte past ASCII in the target": (request(start="GET /\xe9 HTTP/1.1"), 400),
    "two spaces": (request(start="GET  / HTTP/1.1"), 400),
    "an empty line first": (b"\r\n" + request(), 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "HTTP/1.2": (request(start="GET / HTTP/1.2"), 505),
    "HTTP/0.9": (b"GET /\r\n", 400),
    "TLS": (bytes.fromhex("16030100a5010000a10303") + b"x" * 50, 400),
    "an upgrade": (request("Connection: upgrade", "Upgrade: websocket"), 501),
    "another expectation": (request("Expect: 200-maybe"), 417),
    "Connection naming the length": (request("Connection: content-length"), 400),
    "a target past its limit": (request(start="GET /" + "x" * 9000 + " HTTP/1.1"), 414),
    "a head past its limit": (request("A: " + "x" * 17000), 431),
    "too many fields": (request(*[f"A{n}: b" for n in range(101)]), 431),
}
BODIES = {
    "no size": b"\r\nabc\r\n0\r\n\r\n",
    "a signed size": b"+3\r\nabc\r\n0\r\n\r\n",
    "0x": b"0x3\r\nabc\r\n0\r\n\r\n",
    "a blank after the size": b"3 \r\nabc\r\n0\r\n\r\n",
    "a blank before the size": b" 3\r\nabc\r\n0\r\n\r\n",
    "a size past 64 bits": b"10000000000000003\r\nabc\r\n0\r\n\r\n",
    "17 digits": b"00000000000000003\r\nabc\r\n0\r\n\r\n",
    "LF after the size": b"3\nabc\r\n0\r\n\r\n",
    "LF in an extension": b"3;a\nabc\r\n0\r\n\r\n",
    "CR in an extension": b"3;a\rb\r\nabc\r\n0\r\n\r\n",
    "a longer chunk than said": b"3\r\nabcd\r\n0\r\n\r\n",
    "LF after the data": b"3\r\nabc\n0\r\n\r\n",
    "an endless extension": b"3;" + b"a" * 300 + b"\r\nabc\r\n0\r\n\r\n",
    "a length as a trailer": b"3\r\nabc\r\n0\r\nContent-Length: 3\r\n\r\n",
    "a folded trailer": b"3\r\nabc\r\n0\r\nA: b\r\n c\r\n\r\n",
    "endless trailers": b"0\r\n" + b"A: b\r\n" * 800 + b"\r\n",
}


def ended(client):
    """Nothing follows on the connection but its end."""
    try:
        while data := client.socket.recv(65536):
            client.buffer += data
    except (ConnectionResetError, ssl.SSLError):
        pass
    return client.buffer == b""


def check_request(context, name, data, status, connect=None):
    seen = []
    context.backend.handler = lambda connection: seen.append(connection.head())
    with connect() if connect else Client(context.port, timeout=5) as client:
        client.send(data + SMUGGLED)
        got = client.answer()
        assert got.status == status, f"{name}: {got.status} instead of {status}, {got.body}"
        assert ended(client), f"{name}: another answer followed: {client.buffer[:200]}"
    assert not any(b"smuggled" in head for head in seen), f"{name}: passed on: {seen}"
    return seen


def test_malformed_request_heads(context):
    for name, (data, status) in HEADS.items():
        assert not check_request(context, name, data, status), f"{name}: the backend saw it"


def test_malformed_requests_at_the_sidecar(context):
    """The same over TLS, past the helper: each proxy refuses for itself."""

    def connect():
        return TLSClient(context.stack.serve_port, timeout=5)

    for name, (data, status) in HEADS.items():
        assert not check_request(context, name, data, status, connect), name
    for name, body in BODIES.items():
        status = 431 if name == "endless trailers" else 400
        check_request(context, name, request(CHUNKED_LINE, body=body), status, connect)


def test_malformed_request_heads_a_byte_at_a_time(context):
    for name in ("both lengths", "a bare LF", "a folded line", "two Hosts"):
        data, status = HEADS[name]
        with Client(context.port, timeout=5) as client:
            try:
                for byte in data:
                    client.send(bytes([byte]))
            except OSError:
                pass  # It may be refused before its end.
            assert client.answer().status == status, name


def test_malformed_request_bodies(context):
    for name, body in BODIES.items():
        check_request(
            context,
            name,
            request(CHUNKED_LINE, body=body),
            431 if name == "endless trailers" else 400,
        )


def respond(context, data):
    """What a client gets when the backend answers with `data`, and then leaves."""

    def handler(connection):
        connection.request()
        connection.send(data)
        connection.socket.shutdown(socket.SHUT_WR)
        connection.wait_for_end(2)

    context.backend.handler = handler
    return get(context.port)


def response(*lines, start="HTTP/1.1 200 OK", body=b""):
    fields = "".join(f"{line}\r\n" for line in lines)
    return f"{start}\r\n{fields}\r\n".encode("latin-1") + body


RESPONSES = {
    "both lengths": response("Content-Length: 5", CHUNKED_LINE, body=b"0\r\n\r\n"),
    "two lengths": response("Content-Length: 1", "Content-Length: 2", body=b"ab"),
    "two equal lengths": response("Content-Length: 1", "Content-Length: 1", body=b"a"),
    "a signed length": response("Content-Length: +1", body=b"a"),
    "a blank before the colon": response("Content-Length : 1", body=b"a"),
    "a bare LF": response("A: b\nC: d", "Content-Length: 0"),
    "LF for the whole head": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "a folded line": response("A: b", " c", "Content-Length: 0"),
    "a NUL": response("A: \0", "Content-Length: 0"),
    "an unknown coding": response("Transfer-Encoding: gzip"),
    "chunked not last": response("Transfer-Encoding: chunked, x"),
    "chunked in HTTP/1.0": response(CHUNKED_LINE, start="HTTP/1.0 200 OK", body=b"0\r\n\r\n"),
    "a body for 204": response("Content-Length: 1", start="HTTP/1.1 204 x", body=b"a"),
    "101": response(start="HTTP/1.1 101 Switching Protocols"),
    "HTTP/2": response(start="HTTP/2 200 OK"),
    "a status of two digits": response(start="HTTP/1.1 20 OK"),
    "status 600": response(start="HTTP/1.1 600 x"),
    "no HTTP": b"hello there, this is not HTTP\r\n\r\n",
    "a head past its limit": response("A: " + "x" * 20000, "Content-Length: 0"),
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-",
}


def test_malformed_response_heads(context):
    for name, data in RESPONSES.items():
        got = respond(context, data)
        assert got.status == 502 and got.complete, f"{name}: {got.status} {got.body}"
        assert b'"error"' in got.body, name


def test_interim_answers_have_a_limit(context):
    """Heads have no flow control: a caller that does not read must not make this side keep them."""
    early = response(start="HTTP/1.1 103 Early Hints")
    got = respond(context, early * 100 + response("Content-Length: 2", body=b"ok"))
    assert (got.status, got.body, got.interim) == (200, b"ok", [103] * 100), got.status
    got = respond(context, early * 101 + response("Content-Length: 2", body=b"ok"))
    assert got.status == 502 and b"interim" in got.body, (got.status, got.body)


def test_malformed_response_bodies_are_never_whole(context):
    for name, body in BODIES.items():
        got = respond(context, CHUNKED + body)
        # Refused before anything was passed on, or cut; the last chunk is never made up.
        assert not (got.status == 200 and got.complete), f"{name}: {got.body}"


def test_truncated_responses_are_never_whole(context):
    for data in (
        response("Content-Length: 9", body=b"abc"),
        CHUNKED + b"9\r\nabc",
        CHUNKED + b"3\r\nabc\r\n",
        CHUNKED + b"3\r\nabc\r\n0\r\n",
        CHUNKED + b"3\r\nabc\r\n0\r\nA: b\r\n",
    ):
        got = respond(context, data)
        assert not got.complete and got.closed, data


def test_what_follows_a_response_is_not_passed_on(context):
    def handler(connection):
        connection.request()
        connection.send(response("Content-Length: 2", body=b"ok") + response(body=b"EXTRA"))
        connection.wait_for_end(2)

    context.backend.handler = handler
    with Client(context.port, timeout=5) as client:
        client.send(request("Content-Length: 0"))
        assert client.answer().body == b"ok"
        client.send(request("Content-Length: 0"))
        assert b"EXTRA" not in client.answer().body


def test_it_still_serves(context):
    assert ask(context.port, request("Content-Length: 1", body=b"x")).body == b"POST / 1"
