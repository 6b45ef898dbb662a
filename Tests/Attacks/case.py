"""What attacks share: stolen keys, Ratel as the one that is attacked, and how each is judged."""

import contextlib
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
for place in (
    HERE.parent / "EndToEnd", HERE.parent / "Support", HERE.parent.parent / "Examples"
):
    sys.path.insert(0, str(place))

from backend import Backend, hello  # noqa: E402
from channel import Identity  # noqa: E402
from formulas import ALL  # noqa: E402
from harness import (  # noqa: E402
    ANONYMOUS, SIMULATED, Process, free_port, listening, scratch, software_tpm, wait_until)
from model import QUIET, Attested, Hardware, Server, Verifier, Victim  # noqa: E402
from wire import Client  # noqa: E402

SECRET = Victim.SECRET


def certificate(folder, name):
    key, leaf = pathlib.Path(folder) / f"{name}.key", pathlib.Path(folder) / f"{name}.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", key, "-out", leaf],
        check=True, capture_output=True)
    return Identity(key, leaf)


class Place:
    """A folder with the server's key, which is stolen, a caller's and a thief's own; and a
    backend."""

    def __init__(self, ratel, stack):
        self.ratel, self.stack = ratel, stack
        self.folder = pathlib.Path(stack.enter_context(scratch()))
        self.servers, self.callers, self.thiefs = (
            certificate(self.folder, name) for name in ("server", "caller", "thief"))
        self.backend = Backend()
        self.backend.handler = hello
        stack.callback(self.backend.close)
        self.count = 0

    # MARK: The model

    def model(self, *missing, **more):
        """A genuine server and a victim, of a protocol without some defences."""
        defences = ALL - frozenset(missing)
        hardware, tpm = Hardware(), more.get("tpm")
        attested = Attested(hardware, defences, more.get("configuration", QUIET), tpm)
        server = self.stack.enter_context(Server(self.servers, attested))
        return server, Victim(Verifier(hardware.public, defences, tpms=more.get("tpms", ())))

    # MARK: Ratel

    def start(self, name, *words):
        self.count += 1
        command = [str(word) for word in (self.ratel, *words)]
        return self.stack.enter_context(
            Process(f"{name}{self.count}", command, self.folder))

    def write(self, text, name="policy"):
        self.count += 1
        path = self.folder / f"{name}{self.count}.yaml"
        path.write_text(text)
        return path

    def tpm(self):
        self.count += 1
        return self.stack.enter_context(software_tpm(self.folder, f"tpm{self.count}"))

    def serve(self, tpm=None, policy=ANONYMOUS, *more):
        """`ratel serve` with the certificate whose key is stolen; answers its port and itself."""
        port = free_port()
        attester = ["--attester", "tpm", "--tcti", tpm.tcti] if tpm else [
            "--attester", "simulated"]
        process = self.start(
            "serve", "serve", "--listen", f"127.0.0.1:{port}", "--backend",
            f"http://127.0.0.1:{self.backend.port}", "--policy", self.write(policy), "--admin",
            "off", "--tls-certificate", self.servers.certificate_file, "--tls-key",
            self.servers.key_file, *attester, *more)
        process.wait_for_port(port)
        return port, process

    def init(self, port):
        """A policy that wants what that server shows now."""
        done = subprocess.run([self.ratel, "policy", "init", f"127.0.0.1:{port}"],
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def connect(self, target, policy, *more):
        port, file = free_port(), self.write(policy)
        process = self.start(
            "connect", "connect", f"127.0.0.1:{target}", "--policy", file, "--listen",
            f"127.0.0.1:{port}", *more)
        process.policy = file
        process.wait_for_port(port)
        return port, process


def say(port):
    """A caller's request with a secret in it: the status and the body."""
    with Client(port) as client:
        client.send(b"POST /v1/x HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s"
                    % (len(SECRET), SECRET))
        answer = client.answer()
        return answer.status, answer.body.decode(errors="replace")


def extend(tpm):
    """The machine of that TPM measures something else."""
    subprocess.run(["tpm2_pcrextend", "-T", tpm.tcti, "4:sha256=" + "11" * 32], check=True,
                   capture_output=True)


@contextlib.contextmanager
def place(ratel):
    with contextlib.ExitStack() as stack:
        yield Place(ratel, stack)
