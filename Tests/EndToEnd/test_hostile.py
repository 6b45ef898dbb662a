"""Peers that follow no rule; whatever they do, the others are served and nothing is lost."""

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from multiprocessing.pool import ThreadPool

from backend import answer, hello
from harness import ANONYMOUS, Process, Stack, free_port, scratch, wait_until
from test_attacks import ATTESTED, tls
from wire import Client, get, post


def check_serves(context):
    context.backend.handler = hello
    assert get(context.port).body == b"GET / 0"


def sidecar(context, directory, policy, *more):
    """A `serve` of its own with simulated Evidence; its callers are told apart by the policy."""
    path = os.path.join(directory, "policy.yaml")
    with open(path, "w") as file:
        file.write(policy)
    port = free_port()
    process = Process(
        "hostile", [
            context.ratel, "serve", "--listen", f"127.0.0.1:{port}", "--backend",
            f"http://127.0.0.1:{context.backend.port}", "--policy", path, "--attester",
            "simulated", "--admin", "off", *more], directory)
    process.port = port
    return process


def test_pipelined_request_that_arrives_in_pieces(context):
    seen = []

    def slow(connection):
        while True:
            request = connection.request()
            seen.append(request.target)
            time.sleep(0.2)
            connection.send(answer(request.target.encode()))

    context.backend.handler = slow
    with Client(context.port) as client:
        first = post("/first", b"x" * 100)
        client.send(first[:-50])
        wait_until(lambda: context.backend.live, 5, "the upstream connection")
        time.sleep(0.1)
        # The end of one body and the first half of the next head are one read.
        client.send(first[-50:] + b"GET /second HTTP/1.1\r\nHo")
        time.sleep(0.05)
        client.send(b"st: h\r\nX-Third: GET /third\r\n\r\n")
        assert client.answer().body == b"/first"
        second = client.answer()
        assert second.body == b"/second", (second.status, second.body)
    assert seen == ["/first", "/second"], seen


def test_large_read_behind_half_a_response_head(context):
    body = bytes(range(256)) * 160

    def handler(connection):
        connection.request()
        head = f"HTTP/1.1 200 OK\r\nX-Long: {'a' * 3000}\r\nContent-Length: {len(body)}\r\n"
        connection.send(head.encode())
        time.sleep(0.1)
        connection.send(b"\r\n" + body)

    context.backend.handler = handler
    got = get(context.port)
    assert got.status == 200 and got.complete and got.body == body, (got.status, len(got.body))


def test_answer_that_comes_before_its_request_was_read(context):
    """Bytes of the old request still wait for the backend: its connection is not lent again."""
    answers = threading.Event()

    def deaf(connection):
        """Reads no body, and answers when told."""
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.socket.recv(100)
        answers.wait(10)
        connection.send(answer(b"early"))
        time.sleep(2)

    def passed():
        return int(metric(context, "ratel_request_body_bytes_total"))

    def offer(size):
        """Sends a body of this size; answers how much of it was passed on before it stood still."""
        context.backend.handler = deaf
        answers.clear()
        channel = tls(context.stack.serve_port, protocols=["http/1.1"])
        before, data = passed(), post("/", b"y" * size)
        threading.Thread(target=send_all, args=(channel, data), daemon=True).start()
        last, still = -1, 0
        while still < 5:
            time.sleep(0.05)
            now = passed() - before
            still, last = (still + 1, now) if now == last else (0, now)
        return channel, last

    channel, full = offer(64 << 20)
    assert 0 < full < 64 << 20, full
    channel.close()
    # The last piece of this one is the first that the kernel does not take.
    for size in (full - 8192, full - 1, full - 20000, full + 4000) * 2:
        channel, taken = offer(size)
        answers.set()
        time.sleep(0.1)
        with contextlib.suppress(OSError):
            channel.sendall(b"GET /next HTTP/1.1\r\nHost: h\r\n\r\n")
            time.sleep(0.2)
        channel.close()
        assert context.stack.serve.running(), (size, taken)
    check_serves(context)


def send_all(channel, data):
    with contextlib.suppress(OSError):
        channel.sendall(data)


def test_body_and_end_in_one_read(context):
    """A caller of HTTP/1.1 that has said everything is not one that has left."""
    with scratch() as directory, sidecar(context, directory, ANONYMOUS) as serve:
        serve.wait_for_port(serve.port)
        for size in (1, 1000, 15000):
            with HalfClosed(serve.port, post("/half", b"z" * size)) as client:
                got = client.answer()
                assert got.body == f"POST /half {size}".encode(), (size, got.status, got.body)


class HalfClosed(Client):
    """Sends over TLS, says that it sends no more, and reads on."""

    def __init__(self, port, data):
        super().__init__(port, timeout=10)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing)
        self.run(self.tls.do_handshake)
        self.tls.write(data)
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        self.socket.sendall(self.outgoing.read())

    def run(self, step):
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self.socket.sendall(self.outgoing.read())
                self.incoming.write(self.socket.recv(65536))
            finally:
                self.socket.sendall(self.outgoing.read())

    def fill(self):
        try:
            data = self.run(lambda: self.tls.read(65536))
        except ssl.SSLZeroReturnError:
            data = b""
        self.buffer += data
        return bool(data)


def challenger(port, address, then=b""):
    """A caller at `address` that asks for Evidence and reads nothing."""
    settings = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    settings.check_hostname = False
    settings.verify_mode = ssl.CERT_NONE
    settings.set_alpn_protocols([ATTESTED])
    plain = socket.create_connection(("127.0.0.1", port), 10, (address, 0))
    channel = settings.wrap_socket(plain)
    # {1: nonce, 2: [simulated, TPM], 3: []}
    body = b"\xa3\x01\x58\x20" + os.urandom(32) + b"\x02\x82\x01\x03\x03\x80"
    channel.sendall(b"\x01" + len(body).to_bytes(3, "big") + body + then)
    return channel


def metric(context, name):
    page = get(context.stack.admin_port, "/metrics").body.decode()
    values = dict(line.split(" ", 1) for line in page.splitlines() if not line.startswith("#"))
    return float(values[name])


def test_flood_of_challenges_from_one_address(context):
    """Others have their turn, and a caller that has left costs no quote."""
    if context.stack.simulated:
        print("    skipped: simulated quotes take no time")
        return
    page = "ratel_quote_seconds_count"
    with ThreadPool(1) as pool:
        time.sleep(4.5)  # Pooled connections are gone: the next request needs a quote.
        context.stack.tpm.child.send_signal(signal.SIGSTOP)
        try:
            flood = [challenger(context.stack.serve_port, "127.0.0.2") for _ in range(180)]
            honest = pool.apply_async(get, (context.port,))
            time.sleep(0.5)
        finally:
            context.stack.tpm.child.send_signal(signal.SIGCONT)
        before = metric(context, page)
        assert honest.get(10).status == 200
        ahead = metric(context, page) - before
        print(f"    {ahead:.0f} quotes before the one of another address")
        assert ahead < 20, ahead
    for channel in flood:
        channel.close()
    check_serves(context)
    context.stack.tpm.child.send_signal(signal.SIGSTOP)
    try:
        before = metric(context, page)
        for _ in range(100):
            challenger(context.stack.serve_port, "127.0.0.2").close()
        time.sleep(0.5)
    finally:
        context.stack.tpm.child.send_signal(signal.SIGCONT)
    time.sleep(2)
    made = metric(context, page) - before
    print(f"    {made:.0f} quotes for 100 callers that left")
    assert made <= 5, made
    check_serves(context)


def test_bad_credential_does_not_make_the_process_unready(context):
    """A peer's mistake is not this machine's."""

    def ready():
        return get(context.stack.admin_port, "/readyz").status

    wait_until(lambda: ready() == 200, 5, "readiness")
    # {1: bytes, 2: bytes}
    bad = b"\xa2\x01\x44abcd\x02\x44efgh"
    activation = b"\x05" + len(bad).to_bytes(3, "big") + bad
    if context.stack.simulated:
        print("    skipped: a simulated attester opens no credentials")
        return
    channel = challenger(context.stack.serve_port, "127.0.0.1")
    channel.settimeout(10)
    channel.recv(4)
    while channel.recv(65536)[:1] != b"\x02":
        pass
    channel.sendall(activation)
    end = time.monotonic() + 2.5
    while time.monotonic() < end:
        assert ready() == 200, get(context.stack.admin_port, "/readyz").body
        time.sleep(0.1)
    channel.close()


def test_status_page_for_one_that_does_not_read(context):
    before = context.stack.serve.resident()
    with Client(context.stack.admin_port, timeout=0.5) as client:
        with contextlib.suppress(OSError):
            for _ in range(400):
                client.send(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n" * 400)
        grown = context.stack.serve.resident() - before
        assert grown < 8192, f"{grown} KiB more"


def test_more_requests_than_buffers(context):
    """What was begun goes on while what begins waits; nobody waits for ever."""
    few = ["--buffers", "16", "--workers", "1"]
    backend = f"http://127.0.0.1:{context.backend.port}"
    with Stack(context.ratel, backend, simulated=True, serve=few, connect=few) as stack:
        clients = [Client(stack.port, timeout=10) for _ in range(60)]
        # All wait for an upstream at once, and each has a body that is held meanwhile.
        for client in clients:
            client.send(post("/", b"w" * 9000))
        for client in clients:
            got = client.answer()
            assert got.body == b"POST / 9000", (got.status, got.body)
            client.close()


def test_refused_caller_that_does_not_read(context):
    """Refusals are larger than requests: they must not be collected for it."""
    with scratch() as directory, sidecar(
        context, directory, "version: 1\npeers: [{name: s, simulated: true}]\nmode: observe\n"
    ) as serve:
        serve.wait_for_port(serve.port)
        before = serve.resident()
        certificate = make_certificate(directory)
        channel = tls(serve.port, certificate=certificate, protocols=["http/1.1"])
        channel.settimeout(0.5)
        flood = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 600
        try:
            for _ in range(400):
                channel.sendall(flood)
        except (OSError, TimeoutError):
            pass
        grown = serve.resident() - before
        assert grown < 8192, f"{grown} KiB more"
        channel.close()


def test_refused_caller_is_not_kept(context):
    with scratch() as directory, sidecar(
        context, directory, "version: 1\npeers: [{name: s, simulated: true}]\n"
    ) as serve:
        serve.wait_for_port(serve.port)
        certificate = make_certificate(directory)
        with tls(serve.port, certificate=certificate, protocols=["http/1.1"]) as channel:
            channel.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            received = b""
            while piece := channel.recv(65536):
                received += piece
        assert received.startswith(b"HTTP/1.1 403 "), received[:200]
        assert b"\r\nConnection: close\r\n" in received, received[:400]
        # One that asks for nothing is let go long before a keep-alive would be.
        with tls(serve.port, certificate=certificate, protocols=["http/1.1"]) as channel:
            channel.settimeout(14)
            started = time.monotonic()
            assert channel.recv(1) == b""
            assert time.monotonic() - started < 13


def test_refusal_under_way_when_the_process_ends(context):
    with scratch() as directory, sidecar(
        context, directory, "version: 1\npeers: [{name: s, simulated: true}]\n"
    ) as serve:
        serve.wait_for_port(serve.port)
        certificate = make_certificate(directory)
        channels = []
        for _ in range(8):
            channel = tls(serve.port, certificate=certificate, protocols=[ATTESTED])
            channel.sendall(b"\xff\x00\x00\x00")
            channels.append(channel)
        wait_until(lambda: serve.text().count("exchange.frame.unknown") >= 8, 5, "refusals")
        assert serve.stop(signal.SIGTERM) == 0, serve.text()[-3000:]
        for channel in channels:
            channel.close()


def test_without_an_age_each_request_is_admitted_anew(context):
    """A connection that is never idle begins no second one, on either side."""
    policy = "version: 1\npeers: [{name: s, simulated: true, max_age: %s}]\n"
    for ages in (("0s", "1h"), ("1h", "0s")):
        with scratch() as directory, sidecar(
            context, directory, policy % ages[0], "--workers", "1"
        ) as serve:
            serve.wait_for_port(serve.port)
            path, port = os.path.join(directory, "connect.yaml"), free_port()
            with open(path, "w") as file:
                file.write(policy % ages[1])
            with Process(
                "connect", [
                    context.ratel, "connect", f"127.0.0.1:{serve.port}", "--policy", path,
                    "--attester", "simulated", "--admin", "off", "--workers", "1",
                    "--listen", f"127.0.0.1:{port}"], directory) as connect:
                connect.wait_for_port(port)
                for _ in range(10):
                    assert get(port).body == b"GET / 0"
                    time.sleep(0.05)
                for side in (serve, connect):
                    count = side.text().count(": admitted evidence=")
                    assert 10 <= count <= 12, (ages, side.name, count)


def make_certificate(directory):
    key, leaf = os.path.join(directory, "peer.key"), os.path.join(directory, "peer.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-keyout", key, "-out", leaf, "-days", "1", "-subj", "/CN=peer"],
        check=True, capture_output=True)
    return leaf, key
