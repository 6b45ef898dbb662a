"""What the schema and the templates refuse, by both Helms, and what they say of it."""

import json

import yaml

from tools import HELMS, template

GOOD = {
    "image": {"repository": "registry.example/ratel"},
    "attester": "tpm",
    "devices": {"resources": {"tpm.example/tpmrm": 1}},
    "policy": "version: 1\npeers: anonymous\n",
    "backend": {"model": "Qwen/Qwen3-8B", "image": {"tag": "v0.32.0"}},
}
CUSTOM = {"kind": "custom", "image": {"repository": "registry.example/b", "tag": "1"}}

ROUTER = {"enabled": True, "providers": "version: 1\nproviders: []\nkeys: []\n",
          "policy": "version: 1\npeers: anonymous\n"}

# What is changed, and the code and a word of the refusal.
TEMPLATES = [
    ({"image": {"repository": ""}}, "image.missing", "make image"),
    ({"image": {"tag": "latest"}}, "image.mutable", "latest"),
    ({"backend": {"image": {"tag": "latest"}}}, "image.mutable", "backend.image.tag"),
    ({"backend": {"image": {"tag": ""}}}, "backend.image", "neither"),
    ({"backend": {"model": ""}}, "backend.model", "vllm"),
    ({"backend": {"command": ["sh"]}}, "backend.command", "sh"),
    ({"policy": ""}, "policy.missing", "peers: anonymous"),
    ({"existingConfigMap": {"name": "callers"}}, "policy.twice", "both"),
    ({"policyFiles": {"policy.yaml": "x"}}, "policy.twice", "policy.yaml itself"),
    ({"policy": "peers: [{name: a, simulated: true}]"}, "policy.simulated", "allowSimulated"),
    ({"policy": "peers:\n  - name: a\n    'simulated' : yes"}, "policy.simulated", "run anything"),
    ({"attester": "simulated"}, "attester.simulated", "allowSimulated: true"),
    ({"devices": {"resources": {"tpm.example/tpmrm": None}}}, "devices.missing", "attester: tpm"),
    ({"devices": {"hostPath": ["/dev/tpmrm0"]}}, "devices.hostpath", "privileged"),
    ({"runtimeClass": {"name": "kata", "create": True}}, "runtimeclass.handler", "containerd"),
    ({"runtimeClass": {"handler": "kata", "create": True}}, "runtimeclass.name", "kata-qemu-tdx"),
    ({"terminationGracePeriodSeconds": 305}, "drain.grace", "= 305"),
    ({"ratel": {"adminPort": 8443}}, "ports.same", "8443, 8443, 8000"),
    ({"backend": {"port": 9901}}, "ports.same", "three different ports"),
    ({"webhook": {"enabled": True, "defaults": {"backendPort": 9901}}}, "ports.same",
     "webhook.defaults.backendPort"),
    ({"backend": {"args": ["--host=0.0.0.0"]}}, "backend.open", "0.0.0.0"),
    ({"backend": {"args": ["--host", "::"]}}, "backend.open", "--host ::"),
    ({"backend": {"env": [{"name": "HOST", "value": "0.0.0.0"}]}}, "backend.open", "127.0.0.1"),
    ({"backend": {"args": ["--port=80"]}}, "backend.args", "--port=80"),
    ({"backend": {"args": ["--host", "10.0.0.1"]}}, "backend.args", "--host"),
    ({"backend": CUSTOM}, "backend.open", "listensOnLoopback"),
    ({"backend": CUSTOM | {"args": ["--bind=10.0.0.1:80"]}}, "backend.open", "10.0.0.1"),
    ({"backend": {"kind": "custom", "image": {"tag": "1"}}}, "backend.image", "custom"),
    ({"autoscaling": {"enabled": True, "minReplicas": 9}}, "autoscaling.range", "maxReplicas, 4"),
    ({"podDisruptionBudget": {"minAvailable": 1}}, "poddisruptionbudget.twice", "both"),
    ({"monitoring": {"podMonitor": {"enabled": True}, "serviceMonitor": {"enabled": True}}},
     "monitoring.twice", "every sample"),
    ({"deployment": {"enabled": False}}, "chart.nothing", "router.enabled"),
    ({"router": {"enabled": True}}, "router.missing", "--set-file router.providers"),
    ({"router": ROUTER | {"policy": ""}}, "router.missing", "not both"),
    ({"router": ROUTER | {"existingConfigMap": "market"}}, "router.twice", "leave one out"),
    ({"router": ROUTER | {"files": {"route.yaml": "x"}}}, "router.twice", "router.providers"),
    ({"router": ROUTER | {"replicas": 2}}, "router.ledger", "postgresql://"),
    ({"router": ROUTER | {"extraArgs": ["--ledger=postgresql://u:p@h/d"]}}, "router.ledger",
     "Secret"),
    ({"router": ROUTER | {"providers": "providers: [{name: a, endpoint_slices: {}}]"}},
     "router.namespaces", "list them"),
    ({"router": ROUTER | {"files": {"p.yaml": "peers: [{name: a, simulated: true}]"}}},
     "policy.simulated", "router.files.p.yaml"),
]

# What is changed, and words that both Helms say of it: the place and what may stand there.
SCHEMA = [
    ({"backnd": {}}, ["backnd"]),
    ({"backend": {"prot": 1}}, ["backend", "prot"]),
    ({"attester": "sev"}, ["attester", "simulated"]),
    ({"allowSimulated": "yes"}, ["allowSimulated", "boolean"]),
    ({"backend": {"kind": "ollama"}}, ["kind", "llama-cpp"]),
    ({"backend": {"port": 0}}, ["port", "1"]),
    ({"backend": {"port": "8000"}}, ["port", "integer"]),
    ({"backend": {"gpu": {"resource": "gpu"}}}, ["resource", "[a-z0-9.-]+/"]),
    ({"backend": {"livenessProbe": {"httpGet": {"port": 8000}}}}, ["livenessProbe", "not"]),
    ({"ratel": {"port": 443}}, ["port", "024"]),
    ({"ratel": {"address": "127.0.0.1"}}, ["address", "0.0.0.0"]),
    ({"ratel": {"padding": "on"}}, ["padding", "tick"]),
    ({"ratel": {"extraArgs": ["serve"]}}, ["extraArgs", "^--[a-z]"]),
    ({"image": {"digest": "sha256:12"}}, ["digest", "{64}"]),
    ({"image": {"repository": "Registry/Ratel"}}, ["repository"]),
    ({"devices": {"hostPath": ["/etc"]}}, ["hostPath", "^/dev/"]),
    ({"drain": {"longestStreamSeconds": 0}}, ["longestStreamSeconds", "1"]),
    ({"policy": {"version": 1}}, ["policy", "string"]),
    ({"service": {"type": "ExternalName"}}, ["type", "LoadBalancer"]),
    ({"podDisruptionBudget": {"maxUnavailable": "120%"}}, ["maxUnavailable"]),
    ({"webhook": {"replicas": 0}}, ["replicas", "1"]),
    ({"webhook": {"failurePolicy": "Ignore"}}, ["webhook", "failurePolicy"]),
    ({"sidecar": {"native": "false"}}, ["native", "boolean"]),
    ({"router": {"replicas": 0}}, ["replicas", "1"]),
    ({"router": {"ledger": {"url": "postgresql://u:p@h/d"}}}, ["ledger", "url"]),
    ({"router": {"endpointSliceNamespaces": ["a/b"]}}, ["endpointSliceNamespaces"]),
    ({"router": {"storage": {"size": "8"}}}, ["size"]),
    ({"router": {"exportPeriod": "1d"}}, ["exportPeriod"]),
]

CLUSTERS = [
    ({}, "1.28.9", "sidecar.native"),
    ({}, "v1.28.15-gke.100", "sidecar.native"),
    ({"sidecar": {"native": False}, "autoscaling": {"enabled": True}}, "1.22.0",
     "autoscaling.enabled"),
    ({"sidecar": {"native": False}}, "1.20.2", "podDisruptionBudget.enabled"),
    ({"sidecar": {"native": False}, "podDisruptionBudget": {"enabled": False},
      "router": ROUTER | {"endpointSliceNamespaces": ["a"]}}, "1.20.2",
     "router.endpointSliceNamespaces"),
]


def changed(base, change):
    """The values with a change in them; None takes a key away."""
    result = dict(base)
    for key, value in change.items():
        inner = result.get(key)
        both = isinstance(value, dict) and isinstance(inner, dict)
        result[key] = changed(inner, value) if both else value
        if value is None:
            del result[key]
    return result


def asked(name, change, *words):
    values = yaml.safe_dump(changed(GOOD, change))
    return template(name, "--values", "-", *words, text=values)


def test_the_values_that_are_changed_are_good(ratel):
    for name in HELMS:
        done = asked(name, {})
        assert done.returncode == 0, done.stderr


def test_templates_refuse(ratel):
    for change, code, word in TEMPLATES:
        for name in HELMS:
            done = asked(name, change)
            case = (name, json.dumps(change), done.stderr)
            assert done.returncode != 0, case
            lines = dict(
                line.strip().split(None, 1) for line in done.stderr.splitlines()
                if line.startswith("  "))
            assert lines.get("code") == code, case
            assert {"field", "expected", "got", "remedy"} <= set(lines), case
            assert word in done.stderr, case


def test_the_schema_refuses(ratel):
    for change, words in SCHEMA:
        for name in HELMS:
            done = asked(name, change)
            case = (name, json.dumps(change), done.stderr)
            assert done.returncode != 0 and "schema" in done.stderr, case
            assert all(word in done.stderr for word in words), case


def test_old_clusters_are_refused(ratel):
    """Each feature by the release that brought it; the chart itself wants 1.20."""
    for change, version, field in CLUSTERS:
        for name in HELMS:
            done = asked(name, change, "--kube-version", version)
            assert "cluster.old" in done.stderr and field in done.stderr, (name, done.stderr)
    for name in HELMS:
        done = asked(name, {}, "--kube-version", "1.19.0")
        assert "chart requires kubeVersion" in done.stderr, (name, done.stderr)
        for change, version in (
            ({}, "1.29.0"), ({}, "v1.29.3-eks-1234"), ({"sidecar": {"native": False}}, "1.21.0")
        ):
            done = asked(name, change, "--kube-version", version)
            assert done.returncode == 0, (name, version, done.stderr)
