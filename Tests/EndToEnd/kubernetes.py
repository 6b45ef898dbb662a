"""A stand-in for the API server, and a `ratel webhook` that it trusts."""

import base64
import contextlib
import http.client
import http.server
import json
import pathlib
import socket
import ssl
import subprocess
import threading
import urllib.parse

import jsonpatch
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from harness import Process, free_port, scratch, wait_until
from wire import get

NAME = "ratel-webhook.ratel.svc"
TEMPLATE = """\
version: 1
native: true
annotations:
  backend-port: {kind: port, default: "8000"}
  policy: {kind: name, default: ratel-callers}
  padding: {one_of: ["off", records, tick], default: records}
container:
  name: ratel
  image: ratel:1
  args: [serve, --backend, "http://127.0.0.1:${backend-port}", --padding, "${padding}"]
  ports: [{name: ratel, containerPort: 8443}]
  securityContext: {readOnlyRootFilesystem: true, runAsUser: 65532}
  volumeMounts: [{name: ratel-policy, mountPath: /etc/ratel/policy, readOnly: true}]
volumes:
  - {name: ratel-policy, configMap: {name: "${policy}"}}
backend_pre_stop: {httpGet: {path: /drain, port: 9901}}
minimum_termination_grace_period_seconds: 360
"""


def pod(annotations=None, **spec):
    """As the API server sends one: with its defaults."""
    metadata = {"name": "llm", "namespace": "ai", "labels": {"ratel.dev/inject": "true"}}
    if annotations is not None:
        metadata["annotations"] = annotations
    containers = [{"name": "vllm", "image": "vllm:1", "args": ["--host=127.0.0.1"],
                   "ports": [{"containerPort": 8000}]}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {
        "containers": containers, "terminationGracePeriodSeconds": 30, **spec}}


class APIServer:
    """Keeps one MutatingWebhookConfiguration and EndpointSlices, as kube-apiserver does."""

    def __init__(self, directory):
        self.configuration = {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": "ratel", "resourceVersion": "1"},
            "webhooks": [{"name": "inject.ratel.dev", "clientConfig": {"service": {}}}]}
        self.patches, self.conflicts, self.lock = [], 0, threading.Lock()
        # What it was asked with.
        self.tokens = set()
        # By namespace and service; `trouble` is the status that is answered instead.
        self.slices, self.trouble, self.listed = {}, None, 0
        self.key, self.certificate = directory / "api.key", directory / "api.crt"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-keyout", self.key, "-out", self.certificate, "-days", "2", "-subj",
             "/CN=api", "-addext", "subjectAltName=IP:127.0.0.1"],
            check=True, capture_output=True)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        self.port, self.server = server.server_address[1], server
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def handler(self):
        api = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                with api.lock:
                    if "/endpointslices" in self.path:
                        return self.list()
                    self.reply(200, api.configuration)

            def list(self):
                place, query = urllib.parse.urlsplit(self.path), {}
                query = dict(urllib.parse.parse_qsl(place.query, strict_parsing=True))
                *group, namespace, kind = place.path.split("/")
                assert group == ["", "apis", "discovery.k8s.io", "v1", "namespaces"], group
                assert kind == "endpointslices" and query["resourceVersion"] == "0", query
                label, service = query["labelSelector"].split("=")
                assert label == "kubernetes.io/service-name", query
                api.listed += 1
                found = api.slices.get((namespace, service), [])
                self.reply(200, {"kind": "EndpointSliceList", "items": found,
                                 "apiVersion": "discovery.k8s.io/v1",
                                 "metadata": {"resourceVersion": "7"}})

            def do_PATCH(self):
                operations = json.loads(self.rfile.read(int(self.headers["content-length"])))
                assert self.headers["content-type"] == "application/json-patch+json"
                with api.lock:
                    if api.conflicts:
                        api.conflicts -= 1
                        return self.reply(409, {"message": "the object has been modified"})
                    try:
                        changed = jsonpatch.apply_patch(api.configuration, operations)
                    except jsonpatch.JsonPatchException as error:
                        return self.reply(422, {"message": str(error)})
                    version = int(changed["metadata"]["resourceVersion"]) + 1
                    changed["metadata"]["resourceVersion"] = str(version)
                    api.configuration = changed
                    api.patches.append(operations)
                    self.reply(200, changed)

            def reply(self, status, document):
                known = self.path.endswith("/mutatingwebhookconfigurations/ratel")
                known |= "/endpointslices?" in self.path
                api.tokens.add(self.headers["authorization"])
                if self.headers["authorization"] != "Bearer the-token":
                    status, document = 401, {"message": "Unauthorized"}
                elif not known:
                    status, document = 404, {"message": "not found"}
                elif api.trouble:
                    status, document = api.trouble, {"message": "of the test's own making"}
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        return Handler

    def bundle(self):
        """The certificates that are trusted."""
        with self.lock:
            text = self.configuration["webhooks"][0]["clientConfig"].get("caBundle", "")
        return x509.load_pem_x509_certificates(base64.b64decode(text)) if text else []

    def trust(self, text):
        with self.lock:
            self.configuration["webhooks"][0]["clientConfig"]["caBundle"] = text


class Webhook:
    def __init__(self, context, api, directory, *options, name="webhook"):
        self.api, self.port, self.admin = api, free_port(), free_port()
        self.template = directory / "sidecar.yaml"
        if not self.template.exists():
            self.template.write_text(TEMPLATE)
        token = directory / "token"
        token.write_text("the-token\n")
        self.process = Process(name, [
            context.ratel, "webhook", "--listen", f"127.0.0.1:{self.port}",
            "--admin", f"127.0.0.1:{self.admin}", "--template", self.template,
            "--dns-name", NAME, "--configuration", "ratel",
            "--api", f"https://127.0.0.1:{api.port}", "--api-ca", api.certificate,
            "--api-token", token, *options], directory)

    def ready(self):
        with contextlib.suppress(OSError):
            return get(self.admin, "/readyz").status == 200

    def context(self):
        """Trusts what the configuration trusts, as the API server does."""
        pems = b"".join(
            one.public_bytes(Encoding.PEM) for one in self.api.bundle())
        return ssl.create_default_context(cadata=pems.decode())

    def post(self, body, path="/mutate?timeout=5s"):
        """The status and the answer, from whoever the configuration trusts and no other."""
        raw = socket.create_connection(("127.0.0.1", self.port), 10)
        with self.context().wrap_socket(raw, server_hostname=NAME) as connection:
            client = http.client.HTTPConnection("127.0.0.1")
            client.sock = connection
            client.request("POST", path, body, {"content-type": "application/json"})
            reply = client.getresponse()
            return reply.status, json.loads(reply.read())

    def review(self, pod, **changes):
        request = {"uid": "u-1", "kind": {"group": "", "version": "v1", "kind": "Pod"},
                   "operation": "CREATE", "namespace": "ai", "object": pod, **changes}
        status, answer = self.post(json.dumps({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}))
        assert status == 200, answer
        assert answer["kind"] == "AdmissionReview", answer
        assert answer["response"]["uid"] == "u-1"
        return answer["response"]

    def mutate(self, pod):
        """The pod that comes of it, and the warnings."""
        response = self.review(pod)
        assert response["allowed"] is True, response
        if "patch" not in response:
            return pod, response.get("warnings", [])
        assert response["patchType"] == "JSONPatch"
        patch = json.loads(base64.b64decode(response["patch"]))
        return jsonpatch.apply_patch(pod, patch), response.get("warnings", [])

    def refusal(self, pod):
        response = self.review(pod)
        assert response["allowed"] is False and "patch" not in response, response
        return response["status"]["message"]

    def __enter__(self):
        wait_until(self.ready, 20, "the webhook to be trusted")
        return self

    def __exit__(self, *_):
        self.process.stop()


@contextlib.contextmanager
def webhook(context, *options):
    with scratch() as folder:
        directory = pathlib.Path(folder)
        api = APIServer(directory)
        try:
            with Webhook(context, api, directory, *options) as running:
                yield running
        finally:
            api.server.shutdown()


def served(port):
    return ssl.get_server_certificate(("127.0.0.1", port))
