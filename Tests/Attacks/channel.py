"""One TLS 1.3 connection with its exporter and its keys, for either end, by Python's `ssl`."""

import socket
import ssl
import threading

import formulas
import tls_exporter
from formulas import CHALLENGE, CLIENT, EVIDENCE, SERVER
from keylog import KeyLog

ALPN = "ratel/1+http/1.1"


class Refused(Exception):
    """One end ended it, with its reason."""


class Channel:
    """An open connection: frames, then bytes."""

    def __init__(self, tls, role, log, own_key):
        self.tls, self.role, self.own_key = tls, role, own_key
        self.secret = log.exporter_secret()
        peer = tls.getpeercert(True)
        self.peer_key = formulas.leaf_key(peer) if peer else None
        self.buffer = b""

    @staticmethod
    def to(port, identity=None):
        """As a client of whoever listens there; it is Evidence that has to decide."""
        log = KeyLog()
        settings = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        settings.check_hostname, settings.verify_mode = False, ssl.CERT_NONE
        tls = wrap(settings, log, identity, socket.create_connection(("127.0.0.1", port), 20))
        return Channel(tls, CLIENT, log, identity.key if identity else None)

    @staticmethod
    def of(plain, identity, caller=None, protocol=ALPN):
        """As the server of an accepted connection; asks for the certificate of `caller`."""
        log = KeyLog()
        settings = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if caller:
            # Python's module takes none that it cannot check, so it gets it as its own root.
            settings.verify_mode = ssl.CERT_REQUIRED
            settings.load_verify_locations(caller.certificate_file)
        plain.settimeout(20)
        tls = wrap(settings, log, identity, plain, protocol, server_side=True)
        return Channel(tls, SERVER, log, identity.key)

    def export(self, label, context):
        return tls_exporter.export(self.secret, label, context)

    def send(self, data):
        self.tls.sendall(data)

    def exactly(self, count):
        while len(self.buffer) < count:
            piece = self.tls.recv(65536)
            if not piece:
                raise Refused("the connection ended")
            self.buffer += piece
        found, self.buffer = self.buffer[:count], self.buffer[count:]
        return found

    def frame(self):
        head = self.exactly(4)
        return head[0], self.exactly(int.from_bytes(head[1:], "big"))

    def some(self):
        """Whatever comes next; nothing at the end."""
        if self.buffer:
            found, self.buffer = self.buffer, b""
            return found
        return self.tls.recv(65536)

    def close(self):
        self.tls.close()


def exchanged(port, challenge):
    """The Evidence that answers a challenge on a connection of its own, as it travels."""
    channel = Channel.to(port)
    channel.send(formulas.frame(CHALLENGE, challenge))
    need(channel.frame()[0] == CHALLENGE, "no challenge")
    kind, body = channel.frame()
    channel.close()
    need(kind == EVIDENCE, f"frame {kind} in place of Evidence")
    return body


def need(holds, reason):
    if not holds:
        raise Refused(reason)


class Listener:
    """A port of its own; `serve(plain)` has each connection in a thread."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()

    def accept(self):
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(plain,), daemon=True).start()


class Identity:
    """A key and its certificate, in files as a thief would have them."""

    def __init__(self, key_file, certificate_file):
        self.key_file, self.certificate_file = key_file, certificate_file
        certificate = ssl.PEM_cert_to_DER_cert(certificate_file.read_text())
        self.key = formulas.leaf_key(certificate)


def wrap(settings, log, identity, plain, protocol=ALPN, **more):
    settings.minimum_version = ssl.TLSVersion.TLSv1_3
    settings.keylog_filename = log.path
    settings.set_alpn_protocols([protocol])
    if identity:
        settings.load_cert_chain(identity.certificate_file, identity.key_file)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return settings.wrap_socket(plain, **more)
