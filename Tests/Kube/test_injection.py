"""`ratel webhook` with the rights and the template of the chart, asked by the API server."""

import base64
import contextlib
import itertools
import json
import pathlib
import time
import urllib.request

import yaml
from harness import Process, free_port, scratch, wait_until
from test_install import CONFIGURATION, CONFIGURATIONS, CORE, NAMESPACE, install, uninstall

WEBHOOK = "inference/llm-ratel-webhook"
PATH = f"{CONFIGURATIONS}/{CONFIGURATION}"
APPS, ELSEWHERE = "apps", "elsewhere"
ASKS = {"ratel.dev/inject": "true"}
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
NUMBERS = itertools.count()
BACKEND = {"containers": [{"name": "backend", "image": "registry.example/backend:1"}]}


class Webhook:
    """The chart is installed, and its configuration points to one or more processes here."""

    def __init__(self, context, folder, *words):
        self.context, self.cluster, self.folder = context, context.cluster, pathlib.Path(folder)
        self.words = words
        for name, labels in ((APPS, {"ratel.dev/injection": "enabled"}), (ELSEWHERE, {})):
            self.cluster.make_namespace(name, labels)
        template = self.cluster.get(f"{CORE}/configmaps/llm-ratel-webhook")
        (self.folder / "sidecar.yaml").write_text(template["data"]["sidecar.yaml"])
        (self.folder / "token").write_text(self.cluster.tokens[WEBHOOK])

    def start(self, name):
        port, admin = free_port(), free_port()
        process = Process(name, [
            self.context.ratel, "webhook", "--listen", f"127.0.0.1:{port}", "--admin",
            f"127.0.0.1:{admin}", "--template", self.folder / "sidecar.yaml", "--dns-name",
            "localhost", "--configuration", CONFIGURATION, "--api", self.cluster.url, "--api-ca",
            self.cluster.authority, "--api-token", self.folder / "token", *self.words,
        ], self.folder)
        process.port, process.admin = port, admin
        return process

    def point_to(self, process):
        """By URL, as no network of Services is here."""
        self.cluster.patch(PATH, [
            {"op": "remove", "path": "/webhooks/0/clientConfig/service"},
            {"op": "add", "path": "/webhooks/0/clientConfig/url",
             "value": f"https://localhost:{process.port}/mutate"},
        ], "application/json-patch+json")

    def wait(self, process):
        try:
            wait_until(lambda: ready(process.admin), 30, "the webhook's /readyz")
            # The API server hears of a changed configuration by its own watch.
            # 500 is what it answers where it cannot call; 422, where it does not like the patch.
            wait_until(
                lambda: self.pod(APPS, ASKS)[0] in (201, 422), 30, "the API server's trust")
        except AssertionError:
            print(process.text()[-3000:])
            raise

    def pod(self, namespace, labels=None, annotations=None, spec=BACKEND):
        """Creates one: status and what became of it."""
        return self.cluster.make_pod(
            namespace, f"pod-{next(NUMBERS)}", spec, labels, annotations)


@contextlib.contextmanager
def running(context, *words, native=False):
    # The chart refuses native sidecars here, so that the template alone is made native.
    install(context, "Helm 4")
    try:
        with scratch() as folder:
            webhook = Webhook(context, folder, *words)
            if native:
                path = webhook.folder / "sidecar.yaml"
                path.write_text(path.read_text().replace("native: false", "native: true"))
            with webhook.start("webhook") as process:
                webhook.point_to(process)
                webhook.wait(process)
                yield webhook, process
    finally:
        uninstall(context, "Helm 4")


def ready(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def names(document, kind="containers"):
    return [container["name"] for container in document["spec"].get(kind, [])]


def test_pods_that_ask_get_the_sidecar(context):
    with running(context) as (webhook, _):
        chosen = {"ratel.dev/backend-port": "8080", "ratel.dev/policy": "mine",
                  "ratel.dev/padding": "tick"}
        status, pod = webhook.pod(APPS, ASKS, chosen)
        assert status == 201 and names(pod) == ["backend", "ratel"], pod
        backend, sidecar = pod["spec"]["containers"]
        assert "--backend=http://127.0.0.1:8080" in sidecar["args"]
        assert "--padding=tick" in sidecar["args"]
        assert sidecar["securityContext"]["runAsUser"] == 65532
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        assert volumes["ratel-policy"]["configMap"]["name"] == "mine"
        assert backend["lifecycle"]["preStop"]["httpGet"]["path"] == "/drain"
        assert pod["spec"]["terminationGracePeriodSeconds"] == 360
        # A copy of what came out is left as it is.
        status, again = webhook.pod(
            APPS, ASKS, pod["metadata"]["annotations"], spec=copied(pod["spec"]))
        assert status == 201 and again["spec"] == pod["spec"], again
        # Who does not ask, or not in a namespace that does, gets none.
        for namespace, labels in (
            (APPS, {}), (APPS, {"ratel.dev/inject": "false"}), (ELSEWHERE, ASKS)
        ):
            status, pod = webhook.pod(namespace, labels)
            assert status == 201 and names(pod) == ["backend"], (namespace, labels, pod)


def copied(spec):
    return json.loads(json.dumps(spec))


def test_the_patch_of_a_native_sidecar_is_taken(context):
    """1.20 takes no probes of init containers, and drops a restartPolicy, unknown to it."""
    with running(context, native=True) as (webhook, _):
        status, said = webhook.pod(APPS, ASKS)
        assert status == 422, said
        causes = {cause["field"] for cause in said["details"]["causes"]}
        probes = {f"spec.initContainers[0].{probe}" for probe in PROBES}
        assert causes == probes, said
        context.note("1.20.2 refuses what was injected for its probes, and for nothing else")
        path = webhook.folder / "sidecar.yaml"
        template = yaml.safe_load(path.read_text())
        for probe in PROBES:
            del template["container"][probe]
        path.write_text(yaml.safe_dump(template))
        wait_until(lambda: webhook.pod(APPS, ASKS)[0] == 201, 30, "the new template")
        status, pod = webhook.pod(APPS, ASKS)
        (sidecar,) = pod["spec"]["initContainers"]
        assert sidecar["name"] == "ratel" and names(pod) == ["backend"]
        assert "restartPolicy" not in sidecar, sidecar
        context.note("without probes it takes the init container, and drops its restartPolicy")


def test_refusals_reach_whoever_creates_the_pod(context):
    with running(context) as (webhook, _):
        for annotations, spec, code in (
            ({"ratel.dev/backend-port": "0"}, BACKEND, "webhook.annotation.value"),
            ({"ratel.dev/polcy": "mine"}, BACKEND, "webhook.annotation.unknown"),
            ({}, BACKEND | {"hostNetwork": True}, "webhook.pod.host_network"),
        ):
            status, said = webhook.pod(APPS, ASKS, annotations, spec)
            assert status >= 400 and code in said["message"], said
        context.note(said["message"])


def test_a_webhook_that_is_away_stops_only_those_that_ask(context):
    with running(context) as (webhook, process):
        process.stop()
        status, said = webhook.pod(APPS, ASKS)
        assert status == 500 and "failed calling webhook" in said["message"], said
        for namespace, labels in ((APPS, {}), (ELSEWHERE, ASKS), (NAMESPACE, {})):
            status, pod = webhook.pod(namespace, labels)
            assert status == 201 and names(pod) == ["backend"], pod


def test_certificates_are_replaced_without_a_gap(context):
    """A new one at two thirds of 24 s, twice; a pod is created five times a second meanwhile."""
    with running(context, "--certificate-life", "24s") as (webhook, process):
        end, created = time.monotonic() + 60, 0
        while process.text().count("certificate replaced") < 2 and time.monotonic() < end:
            status, pod = webhook.pod(APPS, ASKS)
            assert status == 201 and "ratel" in names(pod), (created, pod)
            created += 1
            time.sleep(0.2)
        assert process.text().count("certificate replaced") == 2, process.text()
        context.note(f"{created} pods were created over two replacements, none was refused")


def test_replicas_are_trusted_side_by_side(context):
    with running(context) as (webhook, first), webhook.start("second") as second:
        wait_until(lambda: ready(second.admin), 30, "the second's /readyz")
        webhook.cluster.patch(PATH, [
            {"op": "replace", "path": "/webhooks/0/clientConfig/url",
             "value": f"https://localhost:{second.port}/mutate"},
        ], "application/json-patch+json")
        first.stop()
        wait_until(lambda: webhook.pod(APPS, ASKS)[0] == 201, 30, "the second's answers")
        bundle = webhook.cluster.get(PATH)["webhooks"][0]["clientConfig"]["caBundle"]
        assert base64.b64decode(bundle).count(b"BEGIN CERTIFICATE") == 2


def test_its_rights_end_at_its_configuration(context):
    install(context, "Helm 4")
    try:
        ask = context.cluster.ask
        assert ask("GET", PATH, user=WEBHOOK)[0] == 200
        for method, path in (
            ("GET", CONFIGURATIONS), ("GET", f"{CONFIGURATIONS}/other"), ("DELETE", PATH),
            ("GET", f"{CORE}/secrets"), ("GET", f"{CORE}/pods"), ("GET", f"{CORE}/configmaps"),
        ):
            status, said = ask(method, path, user=WEBHOOK)
            assert status == 403, (method, path, said)
    finally:
        uninstall(context, "Helm 4")
