"""A backend whose every byte the tests choose."""

import contextlib
import socket
import struct
import threading


class Backend:
    """Listens on loopback, or on a Unix socket; `handler(connection)` serves each connection."""

    def __init__(self, path=None):
        if path:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(path)
        else:
            self.listener = socket.socket()
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind(("127.0.0.1", 0))
            self.port = self.listener.getsockname()[1]
        self.listener.listen(1024)
        self.handler = hello
        self.accepted, self.live = 0, []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                channel, _ = self.listener.accept()
            except OSError:
                return
            if channel.family == socket.AF_INET:
                channel.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.accepted += 1
            self.live.append(channel)
            threading.Thread(target=self.serve, args=(channel, self.handler), daemon=True).start()

    def serve(self, channel, handler):
        with contextlib.suppress(OSError, EOFError):
            handler(Connection(channel))
        self.live.remove(channel)
        channel.close()

    def close(self):
        self.listener.close()
        for channel in list(self.live):
            with contextlib.suppress(OSError):
                channel.shutdown(socket.SHUT_RDWR)


class Request:
    def __init__(self, line, fields, body, raw):
        self.line, self.fields, self.body, self.raw = line, fields, body, raw
        self.method, self.target, self.version = line.split(" ")

    def field(self, name):
        values = self.values(name)
        return values[0] if values else None

    def values(self, name):
        return [value for key, value in self.fields if key.lower() == name]


class Connection:
    """The backend's end of one connection."""

    def __init__(self, channel):
        self.socket, self.buffer = channel, b""

    def fill(self):
        data = self.socket.recv(65536)
        if not data:
            raise EOFError
        self.buffer += data

    def head(self):
        while b"\r\n\r\n" not in self.buffer:
            self.fill()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        return head

    def request(self, on_head=None):
        """The next request, whole."""
        head = self.head()
        line, *lines = head.decode("latin-1").split("\r\n")
        fields = [(name, value.strip()) for name, value in (line.split(":", 1) for line in lines)]
        request = Request(line, fields, b"", head)
        if on_head:
            on_head(request)
        if request.field("transfer-encoding"):
            request.body = self.chunks()
        else:
            length = int(request.field("content-length") or 0)
            while len(self.buffer) < length:
                self.fill()
            request.body, self.buffer = self.buffer[:length], self.buffer[length:]
        return request

    def chunks(self):
        body = b""
        while True:
            while b"\r\n" not in self.buffer:
                self.fill()
            size, self.buffer = self.buffer.split(b"\r\n", 1)
            count = int(size.split(b";")[0], 16)
            while len(self.buffer) < count + 2:
                self.fill()
            body += self.buffer[:count]
            self.buffer = self.buffer[count + 2 :]
            if count == 0:
                return body

    def send(self, data):
        self.socket.sendall(data)

    def chunk(self, data):
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def reset(self):
        """Closes with a reset instead of an end."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def wait_for_end(self, seconds):
        """Whether the peer closed or reset within the time."""
        self.socket.settimeout(seconds)
        try:
            while self.socket.recv(65536):
                pass
            return True
        except TimeoutError:
            return False
        except OSError:
            return True


def answer(body, *lines, status="200 OK"):
    """The bytes of a whole answer."""
    fields = "".join(f"{line}\r\n" for line in lines)
    return f"HTTP/1.1 {status}\r\n{fields}Content-Length: {len(body)}\r\n\r\n".encode() + body


CHUNKED = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)


def hello(connection):
    """Answers every request with what came, on one connection."""
    while True:
        request = connection.request()
        body = f"{request.method} {request.target} {len(request.body)}".encode()
        connection.send(answer(b"" if request.method == "HEAD" else body))
