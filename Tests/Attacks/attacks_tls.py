"""Ways around the handshake that Evidence is bound to."""

import contextlib
import os
import socket
import ssl
import subprocess
import threading

import formulas
from case import ANONYMOUS, SECRET, SIMULATED, free_port, listening, say, wait_until
from channel import ALPN, Channel, Listener
from formulas import CHALLENGE, frame
from model import ADMITTED
from rows import row

# An empty question, the first thing that a server without one says.
NO_QUESTION = frame(CHALLENGE, formulas.encode({}))
TICKET = b"New Session Ticket arrived"


@row("resumption, 0-RTT, downgrade, stripping")
def attack_tls(place):
    """Each way around the handshake, and a server or a policy that allows it."""
    port, _ = place.serve(place.tpm())
    with weak_server(place) as weak:
        # TLS 1.2, whose exporter is another.
        assert handshake(weak, ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
        assert "PROTOCOL_VERSION" in handshake(port, ssl.TLSVersion.TLSv1_2)
        # A session that is taken up again has no certificate in its handshake; a ticket of
        # another server with the same key does not do either.
        own, theirs = place.folder / "own.session", place.folder / "theirs.session"
        assert TICKET in s_client(weak, "-sess_out", theirs)
        assert TICKET not in s_client(port, "-sess_out", own) and not own.exists()
        assert b"Reused, TLSv1.3" in s_client(weak, "-sess_in", theirs)
        assert b"New, TLSv1.3" in s_client(port, "-sess_in", theirs)
        # A request in the first flight, before there is anything to bind to.
        early = place.folder / "early"
        early.write_bytes(SECRET)
        for target, wanted in ((weak, b"was accepted"), (port, b"was rejected")):
            said = s_client(target, "-sess_in", theirs, "-early_data", early)
            assert b"Early data " + wanted in said, said
    stripping_fails_against_ratel(place, port)


def stripping_fails_against_ratel(place, port):
    """Servers that leave the exchange out, and a caller that does; the defence off is a policy
    that wants nothing."""
    policy = place.init(port)
    # What HTTP is spoken over without a question, and an admission without Evidence.
    for protocol, said, code in (
        ("http/1.1", b"", "application protocol"), (None, b"", "application protocol"),
        (ALPN, NO_QUESTION + ADMITTED, "exchange.result.early"),
        (ALPN, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "exchange.frame.unknown"),
    ):
        with PlainServer(place.servers, protocol, said) as plain:
            through, connect = place.connect(plain.port, policy)
            status, body = say(through)
            assert status == 502 and code in body and not plain.heard, (protocol, body)
    with PlainServer(place.servers, ALPN, NO_QUESTION) as plain:
        through, connect = place.connect(plain.port, ANONYMOUS)
        say(through)
        assert SECRET in plain.heard, connect.text()[-1500:]
    mutual, _ = place.serve(None, SIMULATED)
    assert b" 200 " not in unattested(mutual, place.thiefs)
    assert b" 200 " in unattested(port, place.thiefs)


def unattested(port, identity):
    """What a caller gets that skips its own Evidence."""
    channel = Channel.to(port, identity)
    answer = b""
    try:
        channel.send(NO_QUESTION + b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        while piece := channel.some():
            answer += piece
    except OSError:
        # It ended the connection.
        return answer
    finally:
        channel.close()
    return answer


class PlainServer(Listener):
    """TLS by the stolen key, without an exchange worth the name."""

    def __init__(self, identity, protocol, said):
        self.protocol, self.said, self.heard = protocol, said, b""
        self.settings = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.settings.load_cert_chain(identity.certificate_file, identity.key_file)
        if protocol:
            self.settings.set_alpn_protocols([protocol])
        super().__init__()

    def serve(self, plain):
        with contextlib.suppress(OSError), \
                self.settings.wrap_socket(plain, server_side=True) as tls:
            tls.sendall(self.said)
            while piece := tls.recv(65536):
                self.heard += piece if SECRET in piece else b""
                if self.heard:
                    tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


@contextlib.contextmanager
def weak_server(place):
    """OpenSSL's, with the stolen key: every version, tickets and early data."""
    port = free_port()
    words = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert",
             place.servers.certificate_file, "-key", place.servers.key_file, "-early_data",
             "-max_early_data", "4096", "-no_anti_replay", "-alpn", ALPN]
    # Its input stays open: at the end of that it would leave.
    with open(place.folder / "weak.log", "wb") as log, \
            subprocess.Popen(words, stdin=subprocess.PIPE, stdout=log, stderr=log) as child:
        try:
            wait_until(lambda: listening(port), 10, "OpenSSL's server")
            yield port
        finally:
            child.kill()


def handshake(port, version):
    """The version that was agreed on, or OpenSSL's reason."""
    settings = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    settings.check_hostname, settings.verify_mode = False, ssl.CERT_NONE
    settings.minimum_version = settings.maximum_version = version
    try:
        with socket.create_connection(("127.0.0.1", port), 10) as plain:
            with settings.wrap_socket(plain) as tls:
                return tls.version()
    except ssl.SSLError as error:
        return str(error.reason)


def s_client(port, *more):
    """What OpenSSL's client says of one connection, up to a ticket or the server's first frame,
    which would come after it."""
    words = ["stdbuf", "-o0", "openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_3",
             "-alpn", ALPN, *more]
    said = b""
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT) as child:
        watch = threading.Timer(20, child.kill)
        watch.start()
        try:
            while TICKET not in said and NO_QUESTION not in said:
                piece = os.read(child.stdout.fileno(), 65536)
                if not piece:
                    break
                said += piece
            if TICKET in said:
                # It writes the session down when it is through with it.
                child.stdin.write(b"Q\n")
                child.stdin.close()
                said += child.stdout.read()
        finally:
            watch.cancel()
            child.kill()
    return said
