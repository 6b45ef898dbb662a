"""A TCP relay between two ports that a test can cut, and that counts what went through."""

import contextlib
import socket
import threading


class Relay:
    """Listens on `port` of its own and connects each caller to `target`."""

    def __init__(self, target):
        self.target, self.pairs, self.accepted = target, [], 0
        # What the target says passes while this is set.
        self.passes = threading.Event()
        self.passes.set()
        # Called with the number of each piece that callers sent, before it goes on.
        self.heard = lambda number: None
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.listener.listen(256)
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        self.cut()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            try:
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                near.close()
                continue
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # From here on `cut` may close both.
            self.pairs.append((near, far))
            self.begin(near, far)

    def begin(self, near, far):
        """Passes on what a caller and its target say."""
        for source, sink in ((near, far), (far, near)):
            before = self.heard if source is near else lambda number: self.passes.wait(30)
            threading.Thread(target=copy, args=(source, sink, before), daemon=True).start()

    def cut(self):
        """Ends every connection that stands."""
        pairs, self.pairs = self.pairs, []
        for end in (end for pair in pairs for end in pair):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


def copy(source, sink, before):
    number = 0
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            number += 1
            before(number)
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
