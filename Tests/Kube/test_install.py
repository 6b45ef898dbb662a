"""The chart is installed, upgraded, rolled back and taken away by both Helms."""

import pathlib

from tools import CHART, HELMS, run

VALUES = pathlib.Path(__file__).with_name("values.yaml")
NAMESPACE, CONFIGURATION = "inference", "llm-ratel-webhook-inference"
CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
CORE, IN_APPS = f"/api/v1/namespaces/{NAMESPACE}", f"/apis/apps/v1/namespaces/{NAMESPACE}"
# "authority", base64: any bytes do, as nobody calls the webhook here.
BUNDLE = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUIKLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo="
# What the values ask for.
PATHS = [
    f"{IN_APPS}/deployments/llm-ratel", f"{IN_APPS}/deployments/llm-ratel-webhook",
    f"{IN_APPS}/statefulsets/llm-ratel-router",
    f"{CORE}/services/llm-ratel", f"{CORE}/services/llm-ratel-webhook",
    f"{CORE}/serviceaccounts/llm-ratel", f"{CORE}/serviceaccounts/llm-ratel-webhook",
    f"{CORE}/configmaps/llm-ratel-policy", f"{CORE}/configmaps/llm-ratel-webhook",
    f"{CORE}/configmaps/llm-ratel-dashboard", f"{CORE}/services/llm-ratel-router",
    f"{CORE}/serviceaccounts/llm-ratel-router", f"{CORE}/configmaps/llm-ratel-router",
    f"/apis/networking.k8s.io/v1/namespaces/{NAMESPACE}/networkpolicies/llm-ratel-router",
    f"/apis/networking.k8s.io/v1/namespaces/{NAMESPACE}/networkpolicies/llm-ratel",
    f"/apis/networking.k8s.io/v1/namespaces/{NAMESPACE}/networkpolicies/llm-ratel-webhook",
    f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{CONFIGURATION}",
    f"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/{CONFIGURATION}",
    "/apis/node.k8s.io/v1/runtimeclasses/kata-qemu-tdx",
    f"{CONFIGURATIONS}/{CONFIGURATION}",
]


def helm(context, name, *words, good=True):
    done = run(name, *words, environment={"KUBECONFIG": str(context.cluster.kubeconfig)})
    assert (done.returncode == 0) == good, (name, words, done.stdout + done.stderr)
    return done.stdout + done.stderr


def install(context, name, *words, good=True, verb="install"):
    context.cluster.make_namespace(NAMESPACE)
    return helm(context, name, verb, "llm", CHART, "--namespace", NAMESPACE, "--values", VALUES,
                *words, good=good)


def uninstall(context, name):
    helm(context, name, "uninstall", "llm", "--namespace", NAMESPACE)


def test_old_servers_are_refused_by_name(context):
    for name in HELMS:
        for change, field in (
            ("sidecar.native=true", "sidecar.native"),
            ("podDisruptionBudget.enabled=true", "podDisruptionBudget.enabled"),
            ("autoscaling.enabled=true", "autoscaling.enabled"),
        ):
            said = install(context, name, "--set", change, good=False)
            assert "cluster.old" in said and field in said, said
            assert "1.20.2" in said, said
    context.note("1.20.2 has no native sidecar, policy/v1, autoscaling/v2: refused by the chart, "
                 "held to the schemas of recent releases in Tests/Chart")


def test_installs_upgrades_and_goes(context):
    cluster = context.cluster
    for name in HELMS:
        said = install(context, name)
        assert "STATUS: deployed" in said, said
        for path in PATHS:
            cluster.get(path)
        pod_is_accepted(context)
        said = install(context, name, "--set", "drain.longestStreamSeconds=600", verb="upgrade")
        assert "REVISION: 2" in said, said
        pod = cluster.get(PATHS[0])["spec"]["template"]["spec"]
        assert pod["terminationGracePeriodSeconds"] == 660
        uninstall(context, name)
        for path in PATHS:
            status, _ = cluster.ask("GET", path)
            assert status == 404, (path, status)


def pod_is_accepted(context):
    """No controller makes pods of Deployments here, so that the test does."""
    for path in PATHS[:3]:
        spec = context.cluster.get(path)["spec"]["template"]["spec"]
        # The claim's volume, which the controller would have put in.
        if path.endswith("-router"):
            spec["volumes"].append({"name": "state", "emptyDir": {}})
        # Its admission wants the class's overhead; the class has none.
        status, made = context.cluster.make_pod(NAMESPACE, "one", spec)
        assert status == 201, made
        _, made = context.cluster.ask(
            "DELETE", f"{CORE}/pods/one", {"gracePeriodSeconds": 0})


def test_the_webhooks_authority_outlives_helm(context):
    """Upgrades and rollbacks leave what `ratel webhook` wrote into its configuration."""
    path = f"{CONFIGURATIONS}/{CONFIGURATION}"

    def bundle():
        return context.cluster.get(path)["webhooks"][0]["clientConfig"].get("caBundle")

    for name in HELMS:
        install(context, name)
        assert bundle() is None
        write = [{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": BUNDLE}]
        context.cluster.patch(path, write, "application/json-patch+json")
        steps = [("upgrade", ()), ("upgrade", ("--set", "webhook.replicas=3"))]
        for verb, words in steps:
            install(context, name, *words, verb=verb)
            assert bundle() == BUNDLE, (name, verb, words)
        for revision in ("1", "2"):
            helm(context, name, "rollback", "llm", revision, "--namespace", NAMESPACE)
            assert bundle() == BUNDLE, (name, "rollback", revision)
        uninstall(context, name)


def test_helm_4_takes_over_from_helm_3(context):
    install(context, "Helm 3")
    said = install(context, "Helm 4", "--set", "webhook.replicas=3", verb="upgrade")
    assert "REVISION: 2" in said, said
    assert context.cluster.get(PATHS[1])["spec"]["replicas"] == 3
    uninstall(context, "Helm 4")
