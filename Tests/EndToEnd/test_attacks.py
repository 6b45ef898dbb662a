"""Attacks on the attested channel, each with its negative control: the defence off, it succeeds."""

import contextlib
import json
import pathlib
import socket
import ssl
import subprocess

from harness import ANONYMOUS, Process, Stack, free_port, scratch, software_tpm
from wire import Client

ATTESTED = "ratel/1+http/1.1"


class Mutual:
    """A server that demands a client's Evidence, two TPMs, and the policies that admit them."""

    def __init__(self, context):
        self.ratel, self.backend = context.ratel, context.backend
        self.stack = contextlib.ExitStack()
        self.serve_port = free_port()

    def __enter__(self):
        try:
            self.directory = pathlib.Path(self.stack.enter_context(scratch()))
            self.server_tpm = self.stack.enter_context(software_tpm(self.directory, "server"))
            self.client_tpm = self.stack.enter_context(software_tpm(self.directory, "client"))
            evidence = self.directory / "client.json"
            self.run("attest", "--tcti", self.client_tpm.tcti, "--out", evidence)
            self.client_policy = self.save("client.yaml", self.run("policy", "init", evidence))
            self.serve = self.start(
                "serve",
                "serve",
                "--listen",
                f"127.0.0.1:{self.serve_port}",
                "--backend",
                f"http://127.0.0.1:{self.backend.port}",
                "--policy",
                self.client_policy,
                "--tcti",
                self.server_tpm.tcti,
                "--admin",
                "off",
            )
            self.serve.wait_for_port(self.serve_port)
            self.server_policy = self.save(
                "server.yaml", self.run("policy", "init", f"127.0.0.1:{self.serve_port}")
            )
            return self
        except BaseException:
            self.stack.close()
            raise

    def __exit__(self, *_):
        self.stack.close()

    def run(self, *words):
        done = self.attempt(*words)
        assert done.returncode == 0, (words, done.stdout[-1500:], done.stderr[-1500:])
        return done.stdout

    def attempt(self, *words):
        command = [str(word) for word in (self.ratel, *words)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    def verify(self, port, policy, *more):
        return self.attempt(
            "verify",
            f"127.0.0.1:{port}",
            "--policy",
            policy,
            "--tcti",
            self.client_tpm.tcti,
            "--json",
            *more,
        )

    def start(self, name, *words):
        return self.stack.enter_context(Process(name, [self.ratel, *words], self.directory))

    def connect(self, name, target, policy):
        port = free_port()
        process = self.start(
            name,
            "connect",
            f"127.0.0.1:{target}",
            "--policy",
            policy,
            "--tcti",
            self.client_tpm.tcti,
            "--listen",
            f"127.0.0.1:{port}",
        )
        process.wait_for_port(port)
        return port

    def intercept(self):
        port = free_port()
        process = self.start(
            "intercept",
            "demo-intercept",
            "--listen",
            f"127.0.0.1:{port}",
            "--server",
            f"127.0.0.1:{self.serve_port}",
        )
        process.wait_for_port(port)
        return port

    def save(self, name, text):
        path = self.directory / name
        path.write_text(text)
        return path

    def certificate(self):
        key, leaf = self.directory / "thief.key", self.directory / "thief.pem"
        if not leaf.exists():
            subprocess.run(
                [
                    "openssl",
                    "req",
                    "-x509",
                    "-newkey",
                    "ec",
                    "-pkeyopt",
                    "ec_paramgen_curve:prime256v1",
                    "-nodes",
                    "-keyout",
                    key,
                    "-out",
                    leaf,
                    "-days",
                    "1",
                    "-subj",
                    "/CN=thief",
                ],
                check=True,
                capture_output=True,
            )
        return leaf, key


def tls(port, certificate=None, protocols=None, version=ssl.TLSVersion.TLSv1_3):
    settings = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    settings.check_hostname = False
    settings.verify_mode = ssl.CERT_NONE
    settings.minimum_version = settings.maximum_version = version
    if certificate:
        settings.load_cert_chain(*certificate)
    if protocols:
        settings.set_alpn_protocols(protocols)
    plain = socket.create_connection(("127.0.0.1", port), timeout=10)
    return settings.wrap_socket(plain)


def ask(port, **options):
    """What a TLS caller without Evidence gets: its answer, or OpenSSL's reason."""
    try:
        with tls(port, **options) as channel:
            channel.sendall(b"GET /secret HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            answer = b""
            while piece := channel.recv(65536):
                answer += piece
            return answer
    except ssl.SSLError as error:
        return str(error).encode()


@contextlib.contextmanager
def watched(context):
    """Fails when the backend hears a request in the block."""
    heard = []

    def handler(connection):
        heard.append(connection.request().target)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

    context.backend.handler = handler
    yield heard


def test_no_certificate_is_an_alert_and_never_reaches_the_backend(context):
    with Mutual(context) as mutual, watched(context) as heard:
        for protocols in (None, ["http/1.1"], [ATTESTED]):
            answer = ask(mutual.serve_port, protocols=protocols)
            assert b"CERTIFICATE_REQUIRED" in answer.upper().replace(b" ", b"_"), answer
        assert heard == []
    # Control: a policy that says anonymous lets the same caller in.
    with Stack(context.ratel, f"http://127.0.0.1:{context.backend.port}") as stack:
        with watched(context) as heard:
            assert b" 200 " in ask(stack.serve_port)
            assert heard == ["/secret"]


def test_a_certificate_without_evidence_is_a_403_that_names_it(context):
    with Mutual(context) as mutual, watched(context) as heard:
        for protocols in (None, ["http/1.1"]):
            answer = ask(mutual.serve_port, certificate=mutual.certificate(), protocols=protocols)
            head, body = answer.split(b"\r\n\r\n", 1)
            assert head.startswith(b"HTTP/1.1 403 "), head
            error = json.loads(body)["error"]
            assert error["code"] == "evidence.missing" and ATTESTED in error["expected"], error
        assert heard == []


def test_application_bytes_before_the_exchange_reach_nobody(context):
    with Mutual(context) as mutual, watched(context) as heard:
        answer = ask(mutual.serve_port, certificate=mutual.certificate(), protocols=[ATTESTED])
        assert b"200 OK" not in answer, answer
        assert heard == []


def test_other_protocols_and_versions_are_refused(context):
    with Mutual(context) as mutual, watched(context) as heard:
        certificate = mutual.certificate()
        answer = ask(mutual.serve_port, certificate=certificate, protocols=["h3"])
        assert b"NO_APPLICATION_PROTOCOL" in answer.upper().replace(b" ", b"_"), answer
        answer = ask(mutual.serve_port, certificate=certificate, version=ssl.TLSVersion.TLSv1_2)
        assert b"PROTOCOL_VERSION" in answer.upper().replace(b" ", b"_"), answer
        # Control: the same caller with TLS 1.3 and no ALPN is answered, if only with a refusal.
        assert b" 403 " in ask(mutual.serve_port, certificate=certificate)
        assert heard == []


def test_a_server_that_strips_alpn_is_refused(context):
    with Mutual(context) as mutual, watched(context) as heard:
        leaf, key = mutual.certificate()
        listener = socket.create_server(("127.0.0.1", 0))
        settings = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        settings.load_cert_chain(leaf, key)
        port = mutual.connect("stripped", listener.getsockname()[1], mutual.server_policy)
        with Client(port) as client:
            client.send(b"GET /secret HTTP/1.1\r\nHost: h\r\n\r\n")
            while True:
                # Readiness probes connect too, and go at once.
                plain, _ = listener.accept()
                plain.settimeout(5)
                with contextlib.suppress(ssl.SSLError, OSError):
                    channel = settings.wrap_socket(plain, server_side=True)
                    assert b"secret" not in channel.recv(65536)
                    break
                break_now = plain.fileno() == -1
                plain.close()
                if not break_now:
                    break
            answer = client.answer()
        listener.close()
        error = json.loads(answer.body)["error"]
        assert answer.status == 502 and "application protocol" in error["got"], error
        assert heard == []


def test_a_swapped_key_is_refused_by_the_binding(context):
    with Mutual(context) as mutual, watched(context) as heard:
        middle = mutual.intercept()
        done = mutual.verify(middle, mutual.server_policy)
        assert done.returncode == 1, done.stdout
        assert json.loads(done.stdout)["code"] == "binding.signature.invalid", done.stdout
        port = mutual.connect("through", middle, mutual.server_policy)
        with Client(port) as client:
            client.send(b"GET /secret HTTP/1.1\r\nHost: h\r\n\r\n")
            answer = client.answer()
        assert answer.status == 502, answer.status
        assert json.loads(answer.body)["error"]["code"] == "binding.signature.invalid"
        assert heard == []
        # Control: without the man in the middle the same policy admits.
        assert mutual.verify(mutual.serve_port, mutual.server_policy).returncode == 0
    # Control: a caller that asks for nothing talks to the man in the middle.
    with Stack(context.ratel, f"http://127.0.0.1:{context.backend.port}") as stack:
        with scratch() as directory:
            policy = pathlib.Path(directory) / "anonymous.yaml"
            policy.write_text(ANONYMOUS)
            middle, port = free_port(), free_port()
            intercept = [
                context.ratel,
                "demo-intercept",
                "--listen",
                f"127.0.0.1:{middle}",
                "--server",
                f"127.0.0.1:{stack.serve_port}",
            ]
            connect = [
                context.ratel,
                "connect",
                f"127.0.0.1:{middle}",
                "--policy",
                policy,
                "--listen",
                f"127.0.0.1:{port}",
            ]
            with Process("intercept", intercept, directory) as one:
                one.wait_for_port(middle)
                with Process("connect", connect, directory) as two, watched(context) as heard:
                    two.wait_for_port(port)
                    with Client(port) as client:
                        client.send(b"GET /secret HTTP/1.1\r\nHost: h\r\n\r\n")
                        assert client.answer().status == 200
                    assert heard == ["/secret"]


def test_a_changed_pcr_is_refused_at_the_next_connection(context):
    with Mutual(context) as mutual, watched(context) as heard:
        assert mutual.verify(mutual.serve_port, mutual.server_policy).returncode == 0
        digest = "ab" * 32
        subprocess.run(
            ["tpm2_pcrextend", "-T", mutual.server_tpm.tcti, f"4:sha256={digest}"],
            check=True,
            capture_output=True,
        )
        done = mutual.verify(mutual.serve_port, mutual.server_policy)
        refusal = json.loads(done.stdout)
        assert done.returncode == 1 and refusal["code"] == "tpm.pcr.mismatch", refusal
        assert "PCR 4" in refusal["field"], refusal
        port = mutual.connect("changed", mutual.serve_port, mutual.server_policy)
        with Client(port) as client:
            client.send(b"GET /secret HTTP/1.1\r\nHost: h\r\n\r\n")
            answer = client.answer()
        assert answer.status == 502, answer.status
        assert json.loads(answer.body)["error"]["code"] == "tpm.pcr.mismatch"
        assert heard == []
        # Control: a policy in which somebody wrote `any` for that register admits.
        lines = mutual.server_policy.read_text().splitlines()
        loose = [
            line.split(":")[0] + ": any" if line.strip().startswith("4:") else line
            for line in lines
        ]
        policy = mutual.save("loose.yaml", "\n".join(loose) + "\n")
        assert mutual.verify(mutual.serve_port, policy).returncode == 0


def test_a_client_of_another_tpm_is_refused_by_the_server(context):
    with Mutual(context) as mutual, watched(context) as heard:
        stranger = mutual.stack.enter_context(software_tpm(mutual.directory, "stranger"))
        mutual.client_tpm = stranger
        port = mutual.connect("stranger", mutual.serve_port, mutual.server_policy)
        with Client(port) as client:
            client.send(b"GET /secret HTTP/1.1\r\nHost: h\r\n\r\n")
            answer = client.answer()
        error = json.loads(answer.body)["error"]
        assert answer.status == 502 and error["code"] == "peer.refused", error
        assert "tpm.ak.name" in error["got"], error
        assert heard == []


def test_simulated_evidence_is_refused_unless_written(context):
    with Mutual(context) as mutual, watched(context) as heard:
        port = free_port()
        process = mutual.start(
            "simulated",
            "connect",
            f"127.0.0.1:{mutual.serve_port}",
            "--policy",
            mutual.server_policy,
            "--attester",
            "simulated",
            "--listen",
            f"127.0.0.1:{port}",
        )
        process.wait_for_port(port)
        assert "SIMULATED" in process.text()
        with Client(port) as client:
            client.send(b"GET /secret HTTP/1.1\r\nHost: h\r\n\r\n")
            answer = client.answer()
        assert answer.status == 502, answer.status
        assert heard == []
    # Control: a policy that writes it admits the same Evidence.
    with Stack(context.ratel, f"http://127.0.0.1:{context.backend.port}", simulated=True) as stack:
        with watched(context) as heard, Client(stack.port) as client:
            client.send(b"GET /secret HTTP/1.1\r\nHost: h\r\n\r\n")
            assert client.answer().status == 200
            assert heard == ["/secret"]
