"""What twelve sets of values render, by both Helms: golden files, schemas, and what must hold."""

import difflib

import kubernetes_validate
import yaml

from tools import CHART, HELMS, HERE, VALUES, documents, find, rendered, run

GOLDEN = HERE / "golden"
# The newest that the package knows and the two before it.
RELEASES = ("1.37", "1.36", "1.35")
# Kinds of the Prometheus operator have no schema among Kubernetes' own.
WITHOUT_SCHEMA = {"PodMonitor", "ServiceMonitor", "PrometheusRule"}


def text(name, path):
    return "\n---\n".join(rendered(name, path)) + "\n"


def update():
    GOLDEN.mkdir(exist_ok=True)
    for path in VALUES:
        (GOLDEN / path.name).write_text(text("Helm 4", path))


def test_lint(ratel):
    for name in HELMS:
        for path in VALUES:
            done = run(name, "lint", "--strict", CHART, "--values", path)
            assert done.returncode == 0, (name, path.name, done.stdout + done.stderr)


def test_golden_files(ratel):
    assert len(VALUES) == 12
    assert {path.name for path in GOLDEN.glob("*")} == {path.name for path in VALUES}
    for path in VALUES:
        expected = (GOLDEN / path.name).read_text().splitlines()
        for name in HELMS:
            came = text(name, path).splitlines()
            lines = difflib.unified_diff(expected, came, path.name, name, n=1)
            # A dashboard is one line of 15 KB.
            different = "\n".join(line[:200] for line in lines)
            assert not different, f"see `run.py RATEL --update`\n{different}"


def test_no_line_ends_in_blanks(ratel):
    for path in VALUES:
        for number, line in enumerate(text("Helm 4", path).splitlines(), 1):
            assert line == line.rstrip(), (path.name, number, line)


def test_schemas_of_three_releases(ratel):
    counted = 0
    for path in VALUES:
        for document in documents("Helm 4", path):
            if document["kind"] in WITHOUT_SCHEMA:
                assert document["apiVersion"] == "monitoring.coreos.com/v1", document
                continue
            for release in RELEASES:
                said = kubernetes_validate.validate(document, release, strict=True)
                assert said == release, (said, release)
                counted += 1
    assert counted > 200, counted


def test_schemas_refuse_what_is_wrong(ratel):
    """The check above can fail."""
    deployment = find(documents("Helm 4", HERE / "values" / "vllm-tpm.yaml"), "Deployment")
    deployment["spec"]["template"]["spec"]["initContainers"][0]["restartPolicyy"] = "Always"
    try:
        kubernetes_validate.validate(deployment, RELEASES[0], strict=True)
    except kubernetes_validate.ValidationError:
        return
    raise AssertionError("a field that does not exist was taken")


def test_what_is_injected_is_what_is_deployed(ratel):
    """The webhook's template, filled in, is the container of the chart's own Deployment."""
    path = HERE / "values" / "everything.yaml"
    manifests = documents("Helm 4", path)
    held = find(manifests, "ConfigMap", "llm-ratel-webhook")["data"]["sidecar.yaml"]
    filled = held.replace("${backend-port}", "8000").replace("${padding}", "records")
    template = yaml.safe_load(filled.replace("${policy}", "llm-ratel-policy"))
    pod = find(manifests, "Deployment", "llm-ratel")["spec"]["template"]["spec"]
    sidecar = dict(pod["initContainers"][0])
    assert sidecar.pop("restartPolicy") == "Always" and template["native"] is True
    assert template["container"] == sidecar
    assert template["volumes"] == pod["volumes"]
    assert template["backend_pre_stop"] == pod["containers"][0]["lifecycle"]["preStop"]
    # Who drains and is not signalled starts anew once the backend has had its time to end.
    assert "--drain-end=55s" in sidecar["args"]
    least = template["minimum_termination_grace_period_seconds"]
    assert least == pod["terminationGracePeriodSeconds"] == 360
    assert set(template["annotations"]) == {"backend-port", "policy", "padding"}


def test_sidecars_are_locked_down(ratel):
    """Wherever the values do not say otherwise, and whatever else they say."""
    for path in VALUES:
        for document in documents("Helm 4", path):
            if document["kind"] not in ("Deployment", "StatefulSet"):
                continue
            pod = document["spec"]["template"]["spec"]
            for container in pod.get("initContainers", []) + pod["containers"]:
                if container["name"] == "backend":
                    words = container.get("command", []) + container.get("args", [])
                    assert any("127.0.0.1" in word for word in words), (path.name, words)
                    assert "ports" not in container, path.name
                    continue
                context = container["securityContext"]
                assert context["readOnlyRootFilesystem"] is True
                if path.name != "custom-policy-files.yaml":
                    assert context["capabilities"] == {"drop": ["ALL"]}, path.name
                    assert context["allowPrivilegeEscalation"] is False, path.name
                for mount in container["volumeMounts"]:
                    assert "subPath" not in mount, (path.name, mount)


def test_network_policies_name_no_backend_port(ratel):
    path = HERE / "values" / "everything.yaml"
    policy = find(documents("Helm 4", path), "NetworkPolicy", "llm-ratel")["spec"]
    ports = [rule["port"] for part in policy["ingress"] for rule in part["ports"]]
    assert ports == [8443, 9901], ports
    assert all(part["from"] for part in policy["ingress"])
    plain = find(documents("Helm 4", HERE / "values" / "vllm-tpm.yaml"), "NetworkPolicy")["spec"]
    ports = [rule["port"] for part in plain["ingress"] for rule in part["ports"]]
    assert ports == [8443], ports


def test_a_router_keeps_its_key_and_tells_no_password(ratel):
    """A volume of its own for each replica, and the ledger's URL nowhere but in its Secret."""
    for name in ("router.yaml", "router-postgresql.yaml"):
        manifests = documents("Helm 4", HERE / "values" / name)
        routers = find(manifests, "StatefulSet")["spec"]
        (claim,) = routers["volumeClaimTemplates"]
        assert claim["spec"]["accessModes"] == ["ReadWriteOnce"], claim
        (router,) = routers["template"]["spec"]["containers"]
        mounts = {mount["name"]: mount for mount in router["volumeMounts"]}
        assert router["args"][0] == "route" and "--state=/var/lib/ratel/state" in router["args"]
        assert mounts[claim["metadata"]["name"]]["mountPath"] == "/var/lib/ratel", mounts
        assert not [word for word in router["args"] if "ledger" in word], router["args"]
        env = {one["name"]: one for one in router.get("env", [])}
        isShared = name == "router-postgresql.yaml"
        assert ("RATEL_LEDGER" in env) == isShared, env
        assert routers["template"]["spec"]["automountServiceAccountToken"] == isShared
    secret = env["RATEL_LEDGER"]["valueFrom"]["secretKeyRef"]
    assert secret == {"name": "ledger", "key": "uri"}, secret


def test_a_router_may_list_endpoint_slices_and_nothing_else(ratel):
    manifests = documents("Helm 4", HERE / "values" / "router-postgresql.yaml")
    roles = [document for document in manifests if document["kind"] == "Role"]
    assert {role["metadata"]["namespace"] for role in roles} == {"inference", "others"}
    for role in roles:
        assert role["rules"] == [{"apiGroups": ["discovery.k8s.io"], "verbs": ["list"],
                                  "resources": ["endpointslices"]}], role
    bound = [document for document in manifests if document["kind"] == "RoleBinding"]
    assert {one["metadata"]["namespace"] for one in bound} == {"inference", "others"}
    for one in bound:
        assert one["subjects"] == [{"kind": "ServiceAccount", "name": "llm-ratel-router",
                                    "namespace": "inference"}], one
    # And where no service is named, none is asked about.
    manifests = documents("Helm 4", HERE / "values" / "router.yaml")
    assert not [one for one in manifests if one["kind"] in ("Role", "ClusterRole")]
