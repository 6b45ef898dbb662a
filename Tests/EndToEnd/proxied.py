"""What the tests of `ratel proxy` share: its file, its process, its admin listener, backends."""

import contextlib
import json
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import sys

from backend import Backend, answer
from harness import Process, free_port, scratch, wait_until
from wire import ask, get

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "Support"))

from cryptography import x509  # noqa: E402
from cryptography.hazmat.primitives import serialization  # noqa: E402
from cryptography.x509.oid import NameOID  # noqa: E402
from minting.pki import Authority  # noqa: E402

FAST = {"interval": "100ms", "timeout": "1s"}


class Proxy:
    """`ratel proxy` with a file that a test may change; JSON is YAML."""

    def __init__(self, context, folder, document, workers=1):
        self.ratel, self.folder = context.ratel, pathlib.Path(folder)
        self.file = self.folder / "proxy.yaml"
        self.admin = free_port()
        self.process = None
        self.settings = {"version": 1, "workers": workers, "access_log": "metadata",
                         "admin": f"127.0.0.1:{self.admin}"}
        self.write(document)

    def write(self, document):
        self.file.write_text(json.dumps({**self.settings, **document}))

    def __enter__(self):
        self.process = Process("proxy", [self.ratel, "proxy", "--config", self.file], self.folder)
        self.process.wait_for_port(self.admin)
        return self

    def __exit__(self, *error):
        if any(error):
            print(f"proxy said:\n{self.process.text()[-3000:]}")
        self.process.__exit__(*error)

    def page(self, path):
        return get(self.admin, path).body.decode()

    def metric(self, name, **labels):
        """The number that a line of /metrics has."""
        inner = ",".join(f'{key}="{value}"' for key, value in labels.items())
        line = re.escape(f"{name}{{{inner}}}" if inner else name)
        found = re.search(rf"^{line} (\S+)$", self.page("/metrics"), re.MULTILINE)
        assert found, f"no {name} {labels}"
        return float(found.group(1))

    def wait_for(self, name, value, **labels):
        wait_until(lambda: self.metric(name, **labels) == value, 10, f"{name} {labels} is {value}")

    def checked(self, *backends):
        """Until every backend was checked and is up."""
        for name in backends:
            wait_until(lambda: re.search(rf"^backend {name} \S+: up", self.page("/status"),
                                         re.MULTILINE), 10, f"{name} is up")

    def reload(self, document=None, fails=False):
        """Writes the file, sends SIGHUP, and waits until it was read."""
        name = "ratel_reload_failures_total" if fails else "ratel_reloads_total"
        before = self.metric(name)
        if document is not None:
            self.write(document)
        self.process.child.send_signal(signal.SIGHUP)
        wait_until(lambda: self.metric(name) == before + 1, 10, "the reload")


@contextlib.contextmanager
def proxy(context, document, workers=1, folder=None):
    with contextlib.ExitStack() as stack:
        path = folder or stack.enter_context(scratch())
        yield stack.enter_context(Proxy(context, path, document, workers))


@contextlib.contextmanager
def backends(*names, handler=None):
    """Backends that answer with their name, and what they are called by."""
    with contextlib.ExitStack() as stack:
        found = []
        for name in names:
            backend = Backend()
            backend.handler = handler(name) if handler else naming(name)
            backend.name = name
            stack.callback(stop, backend)
            found.append(backend)
        yield found


def stop(backend):
    """Ends it for good: a thread that waits for connections would keep the socket open."""
    with contextlib.suppress(OSError):
        backend.listener.shutdown(socket.SHUT_RDWR)
    backend.close()


def naming(name):
    def handler(connection):
        while True:
            request = connection.request()
            connection.send(answer(f"{name} {request.method} {request.target} "
                                   f"{len(request.body)}".encode()))

    return handler


def entry(backend, **more):
    return {"name": backend.name, "address": f"127.0.0.1:{backend.port}", "protection": "plain",
            "health": FAST, **more}


def listener(name="front", protection="plain", **more):
    return {"name": name, "address": f"127.0.0.1:{free_port()}", "protection": protection, **more}


def port_of(listener):
    return int(listener["address"].rsplit(":", 1)[1])


def route(name, backends, match="any", **more):
    return {"name": name, "match": match, "backends": backends, "access": "any", **more}


def ask_host(port, host, target="/", *lines):
    """A GET for a host of one's own."""
    fields = "".join(f"{line}\r\n" for line in lines)
    return ask(port, f"GET {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n".encode())


def check(context, file):
    """`ratel proxy check`: its status and what it printed."""
    done = subprocess.run([context.ratel, "proxy", "check", str(file)], capture_output=True,
                          text=True, timeout=30)
    return done.returncode, done.stdout + done.stderr


class Names:
    """An authority of its own, and what it vouches for, as files in a folder."""

    def __init__(self, folder, name="root"):
        self.folder, self.root = pathlib.Path(folder), Authority(named(name))
        self.file = self.folder / f"{name}.pem"
        self.file.write_bytes(pem(self.root))

    def issue(self, name):
        """Paths of a chain and its key, for this DNS name."""
        san = x509.SubjectAlternativeName([x509.DNSName(name)]).public_bytes()
        leaf = Authority(named(name), self.root, is_authority=False,
                         extensions=[("2.5.29.17", san)])
        chain, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        chain.write_bytes(pem(leaf))
        key.write_bytes(leaf.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()))
        return str(chain), str(key)

    def client(self, protocols=("http/1.1",)):
        """What a caller trusts this authority with."""
        context = ssl.create_default_context(cafile=str(self.file))
        context.set_alpn_protocols(list(protocols))
        return context


def named(name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def pem(authority):
    return authority.certificate.public_bytes(serialization.Encoding.PEM)


def behind_tls(chain, key, inner):
    """The handler `inner` behind TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    context.set_alpn_protocols(["http/1.1"])

    def handler(connection):
        connection.socket = context.wrap_socket(connection.socket, server_side=True)
        inner(connection)

    return handler
