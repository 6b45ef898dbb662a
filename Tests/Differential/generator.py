"""Messages for the differential test: well-formed ones, most of them then damaged."""

METHODS = [b"GET", b"POST", b"PUT", b"OPTIONS", b"HEAD", b"DELETE"]
TARGETS = [
    b"/",
    b"/v1/chat/completions",
    b"/a?b=c&d=%20",
    b"//x;y",
    b"/a:b@c",
    b"*",
    b"/" + b"x" * 99,
]
STATUSES = [
    b"200 OK",
    b"200 ",
    b"404 Not Found",
    b"204 No Content",
    b"304 x",
    b"100 Continue",
    b"103 Early Hints",
    b"500 \xe9",
    b"206 a b",
    b"418 ",
]
HOSTS = [b"h", b"127.0.0.1:8000", b"[::1]:80", b"a.b-c_d", b"example.com:443"]
PLAIN = [
    b"Accept: */*",
    b"X-A: b",
    b"X-Empty:",
    b"Content-Type: application/json",
    b"X-T: \xe9\xff",
    b"X-Tab:\ta\tb\t",
    b"Connection: keep-alive",
    b"Authorization: Bearer k",
    b"Trailer: x",
    b"TE: trailers",
    b"X-Colon: a:b",
    b"x!#$%&'*+-.^_`|~9: y",
    b"Expect: 100-continue",
    b"Connection: close",
    b"Upgrade: h2c",
]
NASTY = [
    b"Content-Length: 3",
    b"Content-Length: 03",
    b"Content-Length: +3",
    b"Content-Length: 3, 3",
    b"Content-Length: 3,",
    b"content-length:3",
    b"Content-Length : 3",
    b"Content-Length: 0x3",
    b"Content-Length: 3 3",
    b"Content-Length:",
    b"Content-Length: -0",
    b"Content-Length: 3\x0b",
    b"Content-Length: 99999999999999999999",
    b"Content_Length: 3",
    b"Content-Length\x00: 3",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding:chunked ",
    b"transfer-encoding: CHUNKED",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: \x0bchunked",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: chunked;a=b",
    b"Transfer-Encoding:\r\n chunked",
    b"Transfer_Encoding: chunked",
    b"Transfer-Encoding: 'chunked'",
    b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding:",
    b"Host: other",
    b" folded: x",
    b"\tfolded",
    b"no colon",
    b": no name",
    b"X-LF: a\nX-B: c",
    b"X-CR: a\rX-B: c",
    b"X-NUL: a\x00b",
    b"X DEL: a",
    b"X-DEL: \x7f",
    b"X\xe9: a",
    b"(x): y",
]
SIZES = [
    b"%x",
    b"%X",
    b"0%x",
    b"%x;a",
    b"%x;a=b",
    b'%x;a="b;c"',
    b"%x ",
    b" %x",
    b"+%x",
    b"0x%x",
    b"%x;",
    b"%x;\n",
    b"%x\n",
    b"%x ;a=b",
    b"%x; a=b",
    b'%x;a="\r\n"',
    b"1%x",
    b"000000000000000000%x",
]
TRAILERS = [
    b"",
    b"X: y\r\n",
    b"X:\r\nY: z\r\n",
    b"Content-Length: 9\r\n",
    b"X : y\r\n",
    b"X: y\n",
    b" X: y\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"X\r\n",
]
NEXT = b"GET /next HTTP/1.1\r\nHost: h\r\n\r\n"
BREAKS = [b"\r\n"] * 30 + [b"\n", b"\r", b"\r\r\n", b"\n\r"]
BITS = [
    b"\r",
    b"\n",
    b"\r\n",
    b" ",
    b"\t",
    b":",
    b",",
    b";",
    b"0",
    b"1",
    b"a",
    b"\x00",
    b"\x0b",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"\r\n\r\n",
    b"\r\n ",
    b"chunked",
    b"Content-Length: 1\r\n",
]


def message(chance):
    """One (kind, method, bytes), with another message behind it."""
    kind = chance.choice(["request", "request", "response"])
    method = chance.choice(METHODS)
    lines = [start_line(chance, kind, method)]
    if kind == "request" and chance.random() < 0.97:
        lines.append(b"Host: " + chance.choice(HOSTS))
    lines += chance.sample(PLAIN, chance.randint(0, 4))
    body, framing = body_of(chance)
    lines += framing
    if chance.random() < 0.3:
        for _ in range(chance.choice([1, 1, 2])):
            lines.insert(chance.randint(1, len(lines)), chance.choice(NASTY))
    rare = chance.random() < 0.05
    head = b"".join(line + (chance.choice(BREAKS) if rare else b"\r\n") for line in lines)
    data = head + b"\r\n" + body + NEXT
    if chance.random() < 0.35:
        data = damaged(chance, data)
    return kind, method.decode(), data


def start_line(chance, kind, method):
    version = chance.choice(
        [b"HTTP/1.1"] * 12 + [b"HTTP/1.0"] * 3 + [b"HTTP/1.2", b"HTTP/2.0", b"http/1.1"]
    )
    if kind == "request":
        return method + b" " + chance.choice(TARGETS) + b" " + version
    return version + b" " + chance.choice(STATUSES)


def body_of(chance):
    content = bytes(chance.choice(b"abc\r\n0") for _ in range(chance.choice([0, 1, 3, 3, 5, 17])))
    form = chance.random()
    if form < 0.3:
        return b"", []
    if form < 0.55:
        return content, [b"Content-Length: %d" % len(content)]
    cut = chance.randint(0, len(content))
    chunks = b""
    for part in (content[:cut], content[cut:]):
        if part:
            chunks += size_line(chance, len(part)) + part + b"\r\n"
    last = chance.choice([b"0\r\n"] * 20 + [b"00\r\n", b"0;a=b\r\n", b"0 \r\n", b"-0\r\n"])
    trailers = chance.choice(TRAILERS) if chance.random() < 0.2 else b""
    return chunks + last + trailers + b"\r\n", [b"Transfer-Encoding: chunked"]


def size_line(chance, count):
    form = chance.choice(SIZES) if chance.random() < 0.12 else b"%x"
    return form % count + b"\r\n"


def damaged(chance, data):
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        place = chance.randint(0, max(0, len(data) - len(NEXT)))
        act = chance.random()
        if act < 0.35:
            data = data[:place] + chance.choice(BITS) + data[place:]
        elif act < 0.6:
            data = data[:place] + data[place + chance.choice([1, 1, 2, 5]) :]
        elif act < 0.85:
            data = data[:place] + bytes([chance.randrange(256)]) + data[place + 1 :]
        else:
            data = data[: place + 1]
    return data
