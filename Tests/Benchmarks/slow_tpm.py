"""A software TPM whose quotes take as long as those of slower platforms: a relay before its socket.

Commands pass as they are; the answer to TPM2_Quote is held back. The TPM serialises what it does,
and so does this: one command at a time.
"""

import contextlib
import pathlib
import socket
import struct
import threading
import time

from devices import exactly

QUOTE = 0x158  # TPM2_CC_Quote, TPM 2.0 Library part 2, section 6.5.2


class SlowTPM:
    def __init__(self, directory, tpm_path, seconds):
        self.seconds, self.target, self.quotes = seconds, tpm_path, 0
        self.path = pathlib.Path(directory) / "slow.sock"
        self.tcti = f"swtpm:path={self.path}"
        self.listeners = []
        self.turn = threading.Lock()
        for suffix, serve in (("", self.commands), (".ctrl", self.control)):
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(self.path) + suffix)
            listener.listen(16)
            self.listeners.append(listener)
            threading.Thread(target=self.accept, args=(listener, suffix, serve),
                             daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for listener in self.listeners:
            listener.close()

    def accept(self, listener, suffix, serve):
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(str(self.target) + suffix)
            threading.Thread(target=serve, args=(near, far), daemon=True).start()

    def control(self, near, far):
        pump = threading.Thread(target=copy, args=(far, near), daemon=True)
        pump.start()
        copy(near, far)

    def commands(self, near, far):
        with near, far, contextlib.suppress(OSError, EOFError):
            while True:
                command = message(near)
                (code,) = struct.unpack_from(">I", command, 6)
                with self.turn:
                    began = time.monotonic()
                    far.sendall(command)
                    answer = message(far)
                    if code == QUOTE:
                        self.quotes += 1
                        time.sleep(max(0, began + self.seconds - time.monotonic()))
                near.sendall(answer)


def message(channel):
    """One command or response: a tag, and its length with everything."""
    head = exactly(channel, 10)
    (length,) = struct.unpack_from(">I", head, 2)
    return head + exactly(channel, length - 10)


def copy(source, sink):
    with contextlib.suppress(OSError):
        while data := source.recv(4096):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
