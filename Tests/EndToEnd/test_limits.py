"""Limits of the attested channel on the wire: at each, below it and above it."""

import contextlib
import os
import socket
import ssl
import time

from clocks import Clock
from harness import ANONYMOUS, Process, free_port, scratch

ALPN = "ratel/1+http/1.1"
CHALLENGE, EVIDENCE, LEASE, RESULT = 1, 2, 3, 4
QUESTION = b"\xa3\1\x58\x20" + bytes(range(32)) + b"\2\x81\x18\xff\3\x80"


@contextlib.contextmanager
def serving(context, rate=None):
    with scratch() as directory:
        path = os.path.join(directory, "policy.yaml")
        with open(path, "w") as file:
            file.write(ANONYMOUS)
        port = free_port()
        environment = Clock(directory, rate).environment if rate else {}
        command = [
            context.ratel, "serve", "--listen", f"127.0.0.1:{port}", "--backend",
            f"http://127.0.0.1:{context.backend.port}", "--policy", path, "--attester",
            "simulated", "--admin", "off"]
        with Process("limited", command, directory, environment) as process:
            process.wait_for_port(port)
            process.port = port
            yield process


def connected(port):
    settings = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    settings.check_hostname, settings.verify_mode = False, ssl.CERT_NONE
    settings.set_alpn_protocols([ALPN])
    plain = socket.create_connection(("127.0.0.1", port), timeout=10)
    return settings.wrap_socket(plain)


def frame(kind, body):
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def read(channel):
    """The frames until the server ends the connection, or Evidence came."""
    buffer, frames = b"", []
    while True:
        while len(buffer) >= 4 and len(buffer) >= 4 + int.from_bytes(buffer[1:4], "big"):
            size = 4 + int.from_bytes(buffer[1:4], "big")
            frames.append((buffer[0], buffer[4:size]))
            buffer = buffer[size:]
        if frames and frames[-1][0] in (EVIDENCE, RESULT):
            return frames
        try:
            piece = channel.recv(65536)
        except (ConnectionResetError, ssl.SSLError):
            return frames
        if not piece:
            return frames
        buffer += piece


def test_an_exchange_has_its_time(context):
    """TLS and exchange have 12 s together: who has said nothing by then is gone."""
    with serving(context, rate=10) as server:
        with connected(server.port) as channel:
            time.sleep(0.8)  # Eight seconds of the server's.
            channel.sendall(frame(CHALLENGE, QUESTION))
            assert read(channel)[-1][0] == EVIDENCE
        with connected(server.port) as channel:
            assert [kind for kind, _ in read(channel)] == [CHALLENGE]


def test_frames_have_their_sizes(context):
    """Judged by the head alone, before a byte of the body comes."""
    limits = {CHALLENGE: 4096, EVIDENCE: 1 << 20, LEASE: 1024, RESULT: 4096, 5: 1024, 6: 128}
    with serving(context) as server:
        for kind, limit in limits.items():
            for size in (limit - 1, limit, limit + 1):
                with connected(server.port) as channel:
                    if kind != CHALLENGE:
                        channel.sendall(frame(CHALLENGE, QUESTION))
                        assert read(channel)[-1][0] == EVIDENCE
                    channel.sendall(bytes([kind]) + size.to_bytes(3, "big"))
                    if size > limit:
                        said = read(channel)[-1]
                        assert said[0] == RESULT and b"exchange.frame.too_long" in said[1], said
                        continue
                    # It waits for the rest: nothing is said of the head.
                    channel.settimeout(0.2)
                    with contextlib.suppress(TimeoutError):
                        assert channel.recv(4096)[:1] == bytes([CHALLENGE])
                        assert not channel.recv(4096)
        # The server goes on for others.
        with connected(server.port) as channel:
            channel.sendall(frame(CHALLENGE, QUESTION))
            assert read(channel)[-1][0] == EVIDENCE


def test_known_keys_have_their_number(context):
    """Eight may be listed in a challenge, 32 bytes each."""

    def asked(count, size=32):
        keys = (bytes([0x80 | count]) + b"".join(
            b"\x58" + bytes([size]) + bytes([number]) * size for number in range(count)))
        return QUESTION[:-1] + keys

    with serving(context) as server:
        for count, size, is_good in ((0, 32, True), (7, 32, True), (8, 32, True),
                                     (9, 32, False), (1, 31, False), (1, 33, False)):
            with connected(server.port) as channel:
                channel.sendall(frame(CHALLENGE, asked(count, size)))
                kind, body = read(channel)[-1]
                assert kind == (EVIDENCE if is_good else RESULT), (count, size, body)
                if not is_good:
                    assert b"exchange.challenge.malformed" in body, body
