"""The image runs: no network but loopback, no root, nothing writable; a stream passes through."""

import contextlib
import functools
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile

from support import ROOT, Engine, image, run, unpack

import archive
from entries import Package
from harness import ANONYMOUS, software_tpm, wait_until

PORT = 8443


@functools.cache
def place():
    """Two containers that share a loopback, a TPM beside them, and the image's files."""
    with contextlib.ExitStack() as keep:
        folder = keep.enter_context(tempfile.TemporaryDirectory(prefix="ratel-image-"))
        pair = Pair(keep, pathlib.Path(folder))
        return keep.pop_all(), pair


class Pair:
    def __init__(self, keep, folder):
        self.folder, self.engine = folder, Engine(folder)
        loaded = self.engine("load", "-i", image(), timeout=300).stdout
        self.name = loaded.split("Loaded image: ")[1].strip()
        self.root = unpack(folder / "root")
        shared = folder / "shared"
        shared.mkdir(mode=0o755)
        (shared / "callers.yaml").write_text(ANONYMOUS)
        keep.enter_context(software_tpm(shared))
        os.chmod(shared / "swtpm.sock", 0o777)
        os.chmod(shared / "swtpm.sock.ctrl", 0o777)
        os.chmod(folder, 0o755)
        _, self.space = keep.enter_context(
            self.engine.container("--network", "none", self.name, "demo-backend"))
        own = self.engine("ps", "-q", "--no-trunc").stdout.split()[0]
        self.serve, self.pid = keep.enter_context(self.engine.container(
            "--network", f"container:{own}", "-v", f"{shared}:/run/ratel:ro", self.name,
            "serve", "--listen", f"127.0.0.1:{PORT}", "--backend", "http://127.0.0.1:8000",
            "--policy", "/run/ratel/callers.yaml", "--attester", "tpm",
            "--tcti", "swtpm:path=/run/ratel/swtpm.sock", "--admin", "127.0.0.1:9090",
            "--collateral-cache", "off"))
        wait_until(self.ready, 20, "the sidecar in its container")

    def ready(self):
        return "200" in self.inside(
            "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:9090/readyz",
            check=False).stdout

    def inside(self, *words, **options):
        """A program of this machine, in the containers' network."""
        return run("nsenter", "-t", self.space, "-n", *words, **options)

    def client(self, *words, **options):
        """The image's own binary on this machine's libraries."""
        return self.inside(self.root / "usr/bin/ratel", *words, **options)


def test_it_serves_what_was_verified():
    pair = place()[1]
    policy = pair.folder / "server.yaml"
    policy.write_text(pair.client("policy", "init", f"127.0.0.1:{PORT}").stdout)
    shown = pair.client("verify", f"127.0.0.1:{PORT}", "--policy", policy).stdout
    assert "ADMITTED" in shown and "tpm" in shown, shown
    words = [pair.root / "usr/bin/ratel", "connect", f"127.0.0.1:{PORT}", "--policy", policy,
             "--listen", "127.0.0.1:8080", "--collateral-cache", "off"]
    helper = subprocess.Popen(
        ["nsenter", "-t", str(pair.space), "-n", *map(str, words)], stderr=subprocess.DEVNULL)
    try:
        body = '{"model":"demo","stream":true,"messages":[{"role":"user","content":"hello"}]}'
        ask = ["curl", "-sS", "--retry", "20", "--retry-connrefused", "--retry-delay", "1",
               "-H", "content-type: application/json", "-d", body,
               "http://127.0.0.1:8080/v1/chat/completions"]
        answer = pair.inside(*ask).stdout
    finally:
        helper.terminate()
        helper.wait(10)
    pieces = answer.count("data: {")
    assert pieces > 10 and answer.rstrip().endswith("data: [DONE]"), answer[-500:]
    print(f"    {pieces} pieces, from Debian 13's libraries to Debian 12's")


def test_another_policy_refuses_it():
    pair = place()[1]
    text = pair.client("policy", "init", f"127.0.0.1:{PORT}").stdout
    changed = re.sub(r'(?m)^(\s+4: \["?)[0-9a-f]{64}', lambda found: found[1] + "f" * 64, text)
    assert changed != text, text
    policy = pair.folder / "other.yaml"
    policy.write_text(changed)
    done = pair.client("verify", f"127.0.0.1:{PORT}", "--policy", policy, check=False)
    assert done.returncode != 0 and "tpm.pcr.mismatch" in done.stdout + done.stderr, done


def test_it_runs_with_as_little_as_can_be():
    """Read from outside, since there is no shell inside."""
    pair = place()[1]
    status = pathlib.Path(f"/proc/{pair.pid}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["Uid"].split() == ["65532"] * 4 and fields["Gid"].split() == ["65532"] * 4
    assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0, fields["CapBnd"]
    assert fields["NoNewPrivs"] == "1"
    mounts = pathlib.Path(f"/proc/{pair.pid}/mounts").read_text().splitlines()
    above = [line.split()[3].split(",") for line in mounts if line.split()[1] == "/"]
    assert above and all("ro" in options for options in above), above
    links = pair.inside("ip", "-brief", "link").stdout.split("\n")
    assert [line.split()[0] for line in links if line] == ["lo"], links


def test_it_uses_openssl_3_5_and_the_hybrid_group():
    pair = place()[1]
    tool = openssl(pair)
    version = run(*tool, "version").stdout
    assert "Library: OpenSSL 3.5" in version, version
    print(f"    {version.strip()}")
    # Ratel asks for a certificate and refuses; the group is agreed before that.
    shown = pair.inside(
        *tool, "s_client", "-connect", f"127.0.0.1:{PORT}", "-alpn", "http/1.1", check=False,
        stdin=subprocess.DEVNULL).stdout
    group = re.search(r"Negotiated TLS1.3 group: (\S+)", shown)
    assert group and group[1] == "X25519MLKEM768", shown
    print(f"    {group[0]}")
    older = pair.inside(
        "openssl", "s_client", "-connect", f"127.0.0.1:{PORT}", check=False,
        stdin=subprocess.DEVNULL).stdout
    assert "Server Temp Key: X25519, 253 bits" in older or "X25519MLKEM768" in older, older
    print(f"    {run('openssl', 'version').stdout.split(' (')[0]}: "
          + re.search(r"Server Temp Key: [^,]+|Negotiated TLS1.3 group: \S+", older)[0])


def test_its_client_offers_the_hybrid_group_first():
    pair = place()[1]
    policy = pair.folder / "shared" / "callers.yaml"
    assert policy.exists()
    listener = subprocess.Popen(
        ["nsenter", "-t", str(pair.space), "-n", sys.executable, "-c", LISTENER],
        stdout=subprocess.PIPE)
    assert listener.stdout.readline() == b"ready\n"
    own = pair.engine("ps", "-q", "--no-trunc").stdout.split()[-1]
    pair.engine(
        "run", "--rm", *pair.engine.CONFINED, "--network", f"container:{own}", pair.name,
        "policy", "init", "127.0.0.1:9443", check=False)
    hello = listener.stdout.read()
    listener.wait(10)
    groups, shares = offered(hello)
    print(f"    groups {' '.join(f'{one:04x}' for one in groups)}, "
          f"key shares {' '.join(f'{one:04x}' for one in shares)}")
    # 0x11ec is X25519MLKEM768: draft-ietf-tls-ecdhe-mlkem, section 4.
    assert groups[0] == shares[0] == 0x11EC


LISTENER = """
import socket, sys
with socket.create_server(("127.0.0.1", 9443)) as server:
    print("ready", flush=True)
    server.settimeout(30)
    connection, _ = server.accept()
    connection.settimeout(5)
    data = b""
    while len(data) < 5 or len(data) < 5 + int.from_bytes(data[3:5], "big"):
        data += connection.recv(65536)
    sys.stdout.buffer.write(data)
"""


def offered(record):
    """The groups and the key shares of a ClientHello: RFC 8446, sections 4.2.7 and 4.2.8."""
    body = record[5 + 4 + 2 + 32:]
    body = body[1 + body[0]:]  # legacy_session_id
    body = body[2 + struct.unpack(">H", body[:2])[0]:]  # cipher_suites
    body = body[1 + body[0] + 2:]  # legacy_compression_methods, and the extensions' length
    found = {}
    while body:
        kind, size = struct.unpack(">HH", body[:4])
        found[kind], body = body[4:4 + size], body[4 + size:]
    groups = struct.unpack(f">{(len(found[10]) - 2) // 2}H", found[10][2:])
    shares, rest = [], found[51][2:]
    while rest:
        group, size = struct.unpack(">HH", rest[:4])
        shares.append(group)
        rest = rest[4 + size:]
    return groups, shares


def openssl(pair):
    """Debian 13's tool on the image's own libraries."""
    tool = pair.folder / "openssl"
    if not tool.exists():
        file = archive.fetch(ROOT / "Tests/Images/lock.json")["openssl"]
        tool.write_bytes(Package(file).read("usr/bin/openssl"))
        tool.chmod(0o755)
    libraries = pair.root / "usr/lib/x86_64-linux-gnu"
    return [libraries / "ld-linux-x86-64.so.2", "--library-path", libraries, tool]


def test_its_end():
    """SIGTERM ends it at once when nothing is under way; what was started here is removed."""
    keep, pair = place()
    pair.engine("stop", "-t", "20", pair.serve)
    state = pair.engine("inspect", "--format", "{{.State.ExitCode}}", pair.serve).stdout.strip()
    keep.close()
    assert state == "0", state
