"""A caller whose server restarts, rotates its key, changes, or loses its TPM: it is told each for
what it is, and served again when that is over."""

import contextlib
import json
import pathlib
import signal
import ssl
import subprocess

from harness import ANONYMOUS, Process, free_port, scratch, software_tpm, wait_until
from proxied import Names
from relay import Relay
from test_rotation import swap
from wire import ask, get, post


class Way:
    """`connect` → a relay that can be cut → `serve` with a TPM; what the backend heard."""

    def __init__(self, context, stack, max_age="300s", serve=(), has_relay=True):
        self.ratel, self.stack, self.max_age = context.ratel, stack, max_age
        self.folder = pathlib.Path(stack.enter_context(scratch()))
        self.heard, self.count = [], 0
        context.backend.handler = self.backend
        self.tpm = stack.enter_context(software_tpm(self.folder))
        anonymous, self.port = self.folder / "serve.yaml", free_port()
        anonymous.write_text(ANONYMOUS)
        self.words = [
            self.ratel, "serve", "--listen", f"127.0.0.1:{self.port}", "--admin", "off",
            "--backend", f"http://127.0.0.1:{context.backend.port}", "--policy", anonymous,
            "--attester", "tpm", "--tcti", self.tpm.tcti, *serve]
        self.start()
        self.policy = self.folder / "connect.yaml"
        self.accept_what_it_shows()
        self.relay = stack.enter_context(Relay(self.port))
        self.listen = free_port()
        self.connect = stack.enter_context(Process("connect", [
            self.ratel, "connect", f"127.0.0.1:{self.relay.port if has_relay else self.port}",
            "--policy", self.policy, "--listen", f"127.0.0.1:{self.listen}"], self.folder))
        self.connect.wait_for_port(self.listen)

    def backend(self, connection):
        while True:
            self.heard.append(connection.request().method)
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

    def start(self):
        """A new process of the server."""
        self.count += 1
        self.serve = self.stack.enter_context(
            Process(f"serve{self.count}", self.words, self.folder))
        self.serve.wait_for_port(self.port)

    def accept_what_it_shows(self):
        init = [self.ratel, "policy", "init", f"127.0.0.1:{self.port}"]
        text = subprocess.run(init, capture_output=True, text=True, timeout=60, check=True).stdout
        self.policy.write_text(text.replace("max_age: 300s", f"max_age: {self.max_age}"))

    def is_served(self, send=get):
        """At the first try, and by one request at the backend."""
        before = len(self.heard)
        answer = send(self.listen)
        assert (answer.status, answer.body) == (200, b"hi"), (answer.status, answer.body)
        assert len(self.heard) == before + 1, self.heard

    def is_told(self, send=get):
        """The error that a caller gets, of which the backend hears nothing."""
        before = len(self.heard)
        answer = send(self.listen)
        assert answer.status == 502 and len(self.heard) == before, (answer.status, answer.body)
        assert answer.field("content-type") == "application/json"
        return json.loads(answer.body)["error"]

    def log(self, words):
        return [line for line in self.connect.text().splitlines() if words in line]

    def change(self):
        """The machine measures something else."""
        subprocess.run(["tpm2_pcrextend", "-T", self.tpm.tcti, "4:sha256=" + "11" * 32],
                       check=True, capture_output=True)


def posting(listen):
    return ask(listen, post("/v1/x", b"{}"), "POST")


@contextlib.contextmanager
def way(context, **more):
    with contextlib.ExitStack() as stack:
        yield Way(context, stack, **more)


def test_a_server_that_restarts_is_served_by_at_once(context):
    """Its end was noticed, or is by the next request, which is one that may be sent again; what
    it showed before is not relied upon, since its binding key is new."""
    with way(context) as one:
        one.is_served()
        for how in (signal.SIGTERM, signal.SIGKILL):
            one.serve.stop(how)
            one.start()
            one.is_served()
            one.is_served(posting)
        admitted = one.log("admitted")
        assert len(admitted) == 3 and not one.log("lease=true"), admitted
        assert not one.log("refused"), one.connect.text()


def test_a_server_that_is_away_is_said_to_be_away(context):
    with way(context, has_relay=False) as one:
        one.is_served()
        one.serve.stop()
        for send in (get, posting):
            error = one.is_told(send)
            assert error["code"] == "upstream.connect" and "refused" in error["got"], error
            assert "check that it is running" in error["remedy"], error
        wait_until(lambda: one.log("upstream unreachable"), 10, "a word in the log")
        one.start()
        one.is_served(posting)


def test_a_rotated_key_is_verified_once(context):
    """The next connection is of another leaf key, bound to that, and vouched for by what is
    known: nobody notices."""
    with contextlib.ExitStack() as stack:
        names = Names(stack.enter_context(scratch()))
        chain, key = map(pathlib.Path, names.issue("ratel.example"))
        one = Way(context, stack, serve=("--tls-certificate", chain, "--tls-key", key))

        def leaf():
            return ssl.get_server_certificate(("127.0.0.1", one.port))

        one.is_served()
        first = leaf()
        for file, other in zip((chain, key), names.issue("other.example")):
            swap(file, pathlib.Path(other).read_bytes())
        wait_until(lambda: leaf() != first, 10, "the new certificate")
        # The connection that stands goes on with the old one.
        one.is_served(posting)
        assert len(one.log("admitted")) == 1
        one.relay.cut()
        one.is_served()
        one.is_served(posting)
        admitted = one.log("admitted")
        assert len(admitted) == 2 and "lease=true" in admitted[1], admitted


def test_a_server_that_measures_otherwise_is_refused_by_register(context):
    """After a restart, and on the next connection where the policy wants Evidence on each; until
    the policy says that it is right so."""
    for max_age, again in (("300s", "restart"), ("0s", "connection")):
        with way(context, max_age=max_age) as one:
            one.is_served()
            one.change()
            if again == "restart":
                one.serve.stop()
                one.start()
            else:
                one.relay.cut()
            for send in (get, posting):
                error = one.is_told(send)
                assert error["code"] == "tpm.pcr.mismatch", error
                assert "PCR 4" in error["field"] and error["stage"] == "policy", error
                assert error["expected"] == "00" * 32 != error["got"], error
                assert "change the policy" in error["remedy"], error
            refused = one.log("refused code=tpm.pcr.mismatch")
            assert refused and error["got"] in refused[0] and "PCR 4" in refused[0], refused
            one.accept_what_it_shows()
            wait_until(lambda: one.log("policy replaced"), 10, "the new policy")
            one.is_served()
            one.is_served(posting)


def test_a_server_without_its_tpm_says_what_to_do(context):
    """Its operator reads why; the caller, that it is the operator's to see to. The TPM back, it
    is served."""
    with way(context, max_age="0s") as one:
        one.is_served()
        one.tpm.stop()
        one.relay.cut()
        error = one.is_told()
        assert error["code"] == "peer.refused" and "tpm.unavailable" in error["got"], error
        assert "read its log" in error["remedy"] and "ratel doctor" in error["remedy"], error
        # What is on that machine is not for callers.
        assert one.tpm.tcti not in json.dumps(error), error
        assert one.log("refused code=peer.refused"), one.connect.text()
        said = next(line for line in one.serve.text().splitlines() if "tpm.unavailable" in line)
        assert one.tpm.tcti in said and "check that the TPM is there" in said, said
        path = one.tpm.tcti.split("path=")[1]
        for name in (path, f"{path}.ctrl"):
            pathlib.Path(name).unlink(missing_ok=True)
        one.stack.enter_context(Process("swtpm-again", one.tpm.child.args, one.folder))
        wait_until(lambda: "evidence is back" in one.serve.text(), 30, "the TPM's return")
        one.is_served()
