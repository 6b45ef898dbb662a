"""HTTP/1.1 from the client's side, on a plain socket, with nothing smoothed over."""

import socket
import ssl


class Answer:
    """One response: `interim` statuses, `status`, `fields` (lower case), `body`, `chunks`."""

    def __init__(self):
        self.interim, self.status, self.fields = [], None, []
        self.body, self.chunks, self.complete, self.closed = b"", [], False, False
        self.trailers = []

    def field(self, name):
        values = [value for key, value in self.fields if key == name]
        return values[0] if values else None


class Client:
    """A connection that sends bytes and reads strictly."""

    def __init__(self, port, host="127.0.0.1", timeout=30, path=None):
        if path:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            self.socket.connect(path)
        else:
            self.socket = socket.create_connection((host, port), timeout=timeout)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def fill(self):
        """Reads once more; `False` at the end of the stream."""
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        self.buffer += data
        return bool(data)

    def line(self):
        while b"\r\n" not in self.buffer:
            if not self.fill():
                raise EOFError(self.buffer)
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def exactly(self, count):
        while len(self.buffer) < count:
            if not self.fill():
                raise EOFError(self.buffer)
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def head(self, answer):
        """One head, interim or final."""
        version, status, _ = self.line().split(b" ", 2)
        assert version in (b"HTTP/1.1", b"HTTP/1.0"), version
        answer.status, answer.fields = int(status), []
        while line := self.line():
            name, value = line.split(b":", 1)
            answer.fields.append((name.decode().lower(), value.strip().decode("latin-1")))

    def answer(self, method="GET", on_interim=None):
        """A whole response; `complete` is false when it was cut short."""
        answer = Answer()
        try:
            self.head(answer)
            while answer.status < 200:
                answer.interim.append(answer.status)
                if on_interim:
                    on_interim()
                self.head(answer)
            self.body(answer, method)
        except (EOFError, ConnectionResetError):
            answer.closed = True
        return answer

    def body(self, answer, method):
        length, coding = answer.field("content-length"), answer.field("transfer-encoding")
        if method == "HEAD" or answer.status in (204, 304):
            answer.complete = True
        elif coding:
            assert coding.lower() == "chunked" and length is None, (coding, length)
            while size := int(self.line().split(b";")[0], 16):
                chunk = self.exactly(size)
                answer.body += chunk
                answer.chunks.append(chunk)
                assert self.exactly(2) == b"\r\n"
            while line := self.line():
                answer.trailers.append(line)
            answer.complete = True
        elif length is not None:
            while len(self.buffer) < int(length):
                if not self.fill():
                    answer.body, answer.closed = self.buffer, True
                    return
            answer.body = self.exactly(int(length))
            answer.complete = True
        else:
            while self.fill():
                pass
            answer.body, self.buffer = self.buffer, b""
            answer.complete = answer.closed = True


class TLSClient(Client):
    """A caller without Evidence, as any TLS library makes one."""

    def __init__(self, port, timeout=30):
        super().__init__(port, timeout=timeout)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # The certificate is self-signed, and who answers is not what is tested here.
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["http/1.1"])
        self.socket = context.wrap_socket(self.socket)


def ask(port, request, method="GET", timeout=30, path=None):
    """One request on a connection of its own."""
    with Client(port, timeout=timeout, path=path) as client:
        client.send(request)
        return client.answer(method)


def get(port, target="/", *lines):
    """A GET without more than it needs."""
    fields = "".join(f"{line}\r\n" for line in lines)
    return ask(port, f"GET {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n".encode())


def post(target, body, *lines):
    """The bytes of a POST of JSON."""
    fields = "".join(f"{line}\r\n" for line in lines)
    head = f"POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}{fields}Content-Length: {len(body)}\r\n\r\n".encode() + body


def metric(admin, name):
    """The number that /metrics says now."""
    for line in get(admin, "/metrics").body.decode().splitlines():
        if line.startswith(name + " "):
            return int(line.split()[1])
    raise AssertionError(f"no {name}")
