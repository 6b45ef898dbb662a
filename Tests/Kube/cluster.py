"""A real API server with its etcd, on loopback, and what the tests ask of it."""

import contextlib
import csv
import json
import os
import pathlib
import ssl
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "EndToEnd"))

from harness import Process, free_port, wait_until  # noqa: E402

from setup import API_SERVER, ETCD  # noqa: E402

ADMINISTRATOR = "administrator"


class Cluster:
    """The API server: no scheduler, no kubelet, no controllers."""

    def __init__(self, folder, port, tokens):
        self.folder, self.port, self.tokens = folder, port, tokens
        self.url = f"https://127.0.0.1:{port}"
        self.authority = folder / "ca.crt"
        self.trust = ssl.create_default_context(cafile=self.authority)
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "x",
            "clusters": [{"name": "c", "cluster": {
                "server": self.url, "certificate-authority": str(self.authority)}}],
            "users": [{"name": "u", "user": {"token": tokens[ADMINISTRATOR]}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        }))

    def ask(self, method, path, body=None, content="application/json", user=ADMINISTRATOR):
        """Status and document of an answer."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.url + path, method=method, data=data,
            headers={"Authorization": f"Bearer {self.tokens[user]}", "Content-Type": content})
        try:
            with urllib.request.urlopen(request, context=self.trust, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            text = error.read()
            try:
                return error.code, json.loads(text)
            except ValueError:
                return error.code, {"message": text.decode(errors="replace")}

    def get(self, path):
        status, document = self.ask("GET", path)
        assert status == 200, (path, document)
        return document

    def patch(self, path, body, content="application/merge-patch+json"):
        status, document = self.ask("PATCH", path, body, content)
        assert status == 200, (path, document)
        return document

    def make_namespace(self, name, labels=None):
        body = {"apiVersion": "v1", "kind": "Namespace",
                "metadata": {"name": name, "labels": labels or {}}}
        status, document = self.ask("POST", "/api/v1/namespaces", body)
        assert status in (201, 409), document

    def make_pod(self, namespace, name, spec, labels=None, annotations=None):
        """Status and document: what admission and validation made of it."""
        body = {"apiVersion": "v1", "kind": "Pod", "spec": spec, "metadata": {
            "name": name, "labels": labels or {}, "annotations": annotations or {}}}
        return self.ask("POST", f"/api/v1/namespaces/{namespace}/pods", body)

    @property
    def version(self):
        return self.get("/version")["gitVersion"]


@contextlib.contextmanager
def running(service_accounts):
    """Starts both. A token of each service account, `namespace/name`, is known to the server."""
    with tempfile.TemporaryDirectory(prefix="ratel-kube-") as name:
        folder = pathlib.Path(name)
        make_certificates(folder)
        tokens = write_tokens(folder / "tokens.csv", service_accounts)
        port, store, peers = free_port(), free_port(), free_port()
        with Process("etcd", etcd(folder, store, peers), folder) as etcd_process, \
                Process("api", api_server(folder, port, store), folder) as api:
            cluster = Cluster(folder, port, tokens)
            try:
                wait_until(lambda: is_ready(cluster), 90, "the API server's /readyz")
            except AssertionError:
                print(etcd_process.text()[-1000:], api.text()[-3000:], sep="\n")
                raise
            yield cluster


def etcd(folder, port, peers):
    client, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peers}"
    return [ETCD, "--data-dir", folder / "etcd", "--listen-client-urls", client,
            "--advertise-client-urls", client, "--listen-peer-urls", peer,
            "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}",
            "--unsafe-no-fsync", "--log-level", "warn"]


def api_server(folder, port, store):
    return [API_SERVER, "--etcd-servers", f"http://127.0.0.1:{store}", "--bind-address",
            "127.0.0.1", "--secure-port", port, "--tls-cert-file", folder / "server.crt",
            "--tls-private-key-file", folder / "server.key", "--token-auth-file",
            folder / "tokens.csv", "--service-account-key-file", folder / "account.key",
            "--service-account-signing-key-file", folder / "account.key",
            "--service-account-issuer", "https://kubernetes", "--service-cluster-ip-range",
            "10.0.0.0/24", "--authorization-mode", "RBAC", "--advertise-address", "127.0.0.1",
            # No controller makes the token of a service account, which it would wait for.
            "--disable-admission-plugins", "ServiceAccount", "--cert-dir", folder / "run"]


def make_certificates(folder):
    def openssl(*words):
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, cwd=folder)

    openssl("genrsa", "-out", "account.key", "2048")
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.crt",
            "-days", "30", "-subj", "/CN=authority of the test")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "server.key", "-out", "server.csr",
            "-subj", "/CN=kube-apiserver")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,IP:10.0.0.1,DNS:localhost\n")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
            "-CAcreateserial", "-days", "30", "-out", "server.crt", "-extfile", "names")


def write_tokens(path, service_accounts):
    tokens = {ADMINISTRATOR: os.urandom(16).hex()}
    rows = [(tokens[ADMINISTRATOR], ADMINISTRATOR, "1", "system:masters")]
    for number, account in enumerate(service_accounts, 2):
        tokens[account] = os.urandom(16).hex()
        user = "system:serviceaccount:" + account.replace("/", ":")
        rows.append((tokens[account], user, number, "system:serviceaccounts"))
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows(rows)
    return tokens


def is_ready(cluster):
    try:
        request = urllib.request.Request(
            cluster.url + "/readyz",
            headers={"Authorization": f"Bearer {cluster.tokens[ADMINISTRATOR]}"})
        with urllib.request.urlopen(request, context=cluster.trust, timeout=5) as answer:
            return answer.read() == b"ok"
    except OSError:
        return False
