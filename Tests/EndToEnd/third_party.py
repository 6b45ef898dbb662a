"""What tests of third parties share: a server with a TPM, and callers with their TLS secrets."""

import contextlib
import http.client
import json
import pathlib
import re
import secrets
import socket
import ssl
import subprocess
import sys

from harness import ANONYMOUS, Process, free_port, scratch, software_tpm
from keylog import KeyLog

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
EXAMPLES = ROOT / "Examples"
sys.path.insert(0, str(EXAMPLES))

from cryptography import x509  # noqa: E402
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: E402

PATH = "/.well-known/ratel/attestation"
CBOR = {"Content-Type": "application/cbor"}


class Server:
    """`ratel serve` for anybody, with a software TPM; `pins` is what `policy init` says of it."""

    def __init__(self, context, folder, stack, arguments, policy):
        self.ratel, self.folder, self.port = context.ratel, pathlib.Path(folder), free_port()
        self.tpm = stack.enter_context(software_tpm(folder))
        (self.folder / "serve.yaml").write_text(policy)
        command = [self.ratel, "serve", "--listen", f"127.0.0.1:{self.port}", "--admin", "off"]
        command += ["--backend", f"http://127.0.0.1:{context.backend.port}"]
        command += ["--policy", self.folder / "serve.yaml"]
        command += ["--attester", "tpm", "--tcti", self.tpm.tcti, *arguments]
        self.process = stack.enter_context(Process("serve", command, folder))
        self.process.wait_for_port(self.port)

    def pins(self):
        init = [self.ratel, "policy", "init", f"127.0.0.1:{self.port}"]
        text = subprocess.run(init, capture_output=True, text=True, timeout=60, check=True).stdout
        return {"ak": re.search(r'ak: \["(\w+)"\]', text)[1],
                "pcrs": dict(re.findall(r'^ +(\d+): \["(\w+)"\]', text, re.MULTILINE)),
                "configuration": {"access_log": ["off"], "backend": ["loopback"]}}

    def save(self, pins, name="pins.json"):
        path = self.folder / name
        path.write_text(json.dumps(pins))
        return path


@contextlib.contextmanager
def server(context, *arguments, policy=ANONYMOUS):
    with scratch() as folder, contextlib.ExitStack() as stack:
        yield Server(context, folder, stack, arguments, policy)


def verify_session(port, pins):
    """Runs the documented client."""
    command = [sys.executable, EXAMPLES / "verify_session.py", f"127.0.0.1:{port}", pins]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


class Caller:
    """A TLS connection with its exporter secret, in a protocol of the test's choice."""

    def __init__(self, port, protocol="http/1.1", certificate=None):
        log = KeyLog()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols([protocol])
        context.keylog_filename = log.path
        if certificate:
            context.load_cert_chain(*certificate)
        self.tls = context.wrap_socket(socket.create_connection(("127.0.0.1", port), 30))
        self.secret = log.exporter_secret()
        self.leaf = x509.load_der_x509_certificate(self.tls.getpeercert(True))
        self.spki = self.leaf.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.web = http.client.HTTPConnection("127.0.0.1", port)
        self.web.sock, self.web.auto_open = self.tls, 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tls.close()

    def ask(self, method="GET", path=PATH, body=None, fields=None):
        self.web.request(method, path, body, fields or {})
        answer = self.web.getresponse()
        answer.content = answer.read()
        return answer

    def post(self, body, fields=None):
        return self.ask("POST", PATH, body, CBOR if fields is None else fields)

    def exact(self, size):
        data = b""
        while len(data) < size:
            piece = self.tls.recv(size - len(data))
            assert piece, data
            data += piece
        return data

    def frame(self):
        """A frame of the exchange: its type and body."""
        head = self.exact(4)
        return head[0], self.exact(int.from_bytes(head[1:], "big"))


def challenge(kinds=(3,), nonce=None):
    """{1: nonce, 2: kinds, 3: []}"""
    listed = bytes([0x80 + len(kinds)]) + b"".join(
        bytes([kind]) if kind < 24 else bytes([24, kind]) for kind in kinds)
    return b"\xa3\1\x58\x20" + (nonce or secrets.token_bytes(32)) + b"\2" + listed + b"\3\x80"


def error(answer):
    """The code of a refusal."""
    return json.loads(answer.content)["error"]["code"]
