"""What the end-to-end tests share: processes, a software TPM, two Ratels, a raw HTTP client."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "Support"))

import clocks  # noqa: E402

ANONYMOUS = "version: 1\npeers: anonymous\n"
SIMULATED = "version: 1\npeers: [{name: simulated, simulated: true}]\n"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, seconds, what):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {seconds} s")


def listening(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


class Process:
    """A child whose output goes to a file, ended with its context."""

    def __init__(self, name, command, directory, environment=None):
        self.name, self.log = name, pathlib.Path(directory) / f"{name}.log"
        with open(self.log, "ab") as output:
            self.child = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(os.environ, **(environment or {})),
            )

    @property
    def pid(self):
        return self.child.pid

    def text(self):
        return self.log.read_text(errors="replace")

    def running(self):
        return self.child.poll() is None

    def stop(self, how=signal.SIGTERM, seconds=10):
        if self.running():
            self.child.send_signal(how)
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.child.kill()
            return self.child.wait()

    def wait_for_port(self, port, seconds=20):
        def ready():
            if not self.running():
                raise AssertionError(f"{self.name} ended: {self.text()[-2000:]}")
            return listening(port)

        wait_until(ready, seconds, f"{self.name} on port {port}")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def resident(self):
        """Resident memory in KiB; 0 under a sanitizer, whose own memory would be measured."""
        if os.environ.get("RATEL_TEST_SANITIZED"):
            return 0
        with open(f"/proc/{self.pid}/status") as status:
            for line in status:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1])
        return 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        for line in self.text().splitlines():
            # A report of a sanitizer is a failure, whatever the test thought.
            assert "Sanitizer" not in line, f"{self.name}: {self.text()[-6000:]}"


def software_tpm(directory, name="swtpm"):
    """A TPM 2.0 of its own on a Unix socket; its TCTI is `swtpm:path=SOCKET`."""
    state = pathlib.Path(directory) / f"{name}.state"
    state.mkdir()
    setup = ["swtpm_setup", "--tpm2", "--tpmstate", state, "--pcr-banks", "sha256", "--createek"]
    subprocess.run([str(word) for word in setup], check=True, capture_output=True)
    path = pathlib.Path(directory) / f"{name}.sock"
    command = ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}"]
    command += ["--server", f"type=unixio,path={path}", "--ctrl", f"type=unixio,path={path}.ctrl"]
    command += ["--flags", "not-need-init,startup-clear"]
    process = Process(name, command, directory)
    control = pathlib.Path(f"{path}.ctrl")
    wait_until(lambda: path.exists() and control.exists(), 10, "the software TPM")
    time.sleep(0.05)  # A name is there before its socket listens.
    process.tcti = f"swtpm:path={path}"
    return process


class Stack:
    """`connect` → attested channel → `serve` → `backend`, with a software TPM or simulated."""

    def __init__(
        self, ratel, backend, simulated=None, serve=(), connect=(), directory=None, rate=None
    ):
        """`rate` is how fast the clocks of both run."""
        self.ratel, self.rate, self.clock = ratel, rate, None
        self.stack = contextlib.ExitStack()
        self.directory = directory or self.stack.enter_context(scratch())
        self.backend = backend
        if simulated is None:
            simulated = os.environ.get("RATEL_TEST_ATTESTER") == "simulated"
        self.simulated = simulated
        self.serve_arguments, self.connect_arguments = list(serve), list(connect)
        self.serve_port, self.admin_port, self.port = free_port(), free_port(), free_port()

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stack.close()
            raise
        return self

    def __exit__(self, *_):
        self.stack.close()

    def start(self):
        environment = {}
        if self.rate:
            self.clock = clocks.Clock(self.directory, self.rate)
            environment = self.clock.environment
        self.environment = environment
        attester = ["--attester", "simulated"]
        if not self.simulated:
            self.tpm = self.stack.enter_context(software_tpm(self.directory))
            attester = ["--attester", "tpm", "--tcti", self.tpm.tcti]
        self.serve_policy = self.write("serve.yaml", ANONYMOUS)
        command = [self.ratel, "serve", "--listen", f"127.0.0.1:{self.serve_port}"]
        command += ["--backend", self.backend, "--policy", self.serve_policy, *attester]
        command += ["--admin", f"127.0.0.1:{self.admin_port}", *self.serve_arguments]
        serve = Process("serve", command, self.directory, environment)
        self.serve = self.stack.enter_context(serve)
        self.serve.wait_for_port(self.serve_port)
        self.connect_policy = self.write("connect.yaml", self.policy())
        self.connect = self.stack.enter_context(self.helper("connect", self.port))
        self.connect.wait_for_port(self.port)

    def helper(self, name, port):
        """A `connect` to the server, which listens at the port."""
        command = [self.ratel, "connect", f"127.0.0.1:{self.serve_port}"]
        command += ["--policy", self.connect_policy, "--listen", f"127.0.0.1:{port}"]
        return Process(
            name, command + self.connect_arguments, self.directory, self.environment
        )

    def policy(self):
        """What the server presents, taken as what it has to present."""
        if self.simulated:
            return SIMULATED
        init = [self.ratel, "policy", "init", f"127.0.0.1:{self.serve_port}"]
        done = subprocess.run(init, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"policy init: {done.stderr[-2000:]}"
        return done.stdout

    def write(self, name, text):
        path = pathlib.Path(self.directory) / name
        path.write_text(text)
        return path


@contextlib.contextmanager
def scratch():
    """A directory under a short path, since a socket's path has at most 107 bytes."""
    path = tempfile.mkdtemp(prefix="ratel-")
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def open_sidecar(context, *words):
    """A `serve` whose callers need no Evidence; answers its port and its process. `words` say what
    it attests with."""
    with scratch() as folder:
        policy = pathlib.Path(folder) / "anonymous.yaml"
        policy.write_text(ANONYMOUS)
        port = free_port()
        command = [context.ratel, "serve", "--listen", f"127.0.0.1:{port}", "--admin", "off",
                   "--backend", f"http://127.0.0.1:{context.backend.port}", "--policy", policy,
                   *words]
        with Process("serve", command, folder) as process:
            process.wait_for_port(port)
            yield port, process
