"""A pod of the chart, Ratel and a backend, runs under podman and serves attested tokens."""

import contextlib
import json
import os
import pathlib
import subprocess
import threading
import urllib.request

import yaml
from harness import Process, free_port, scratch, software_tpm, wait_until
from podman import Podman, link, missing
from tools import CHART, run

VALUES = pathlib.Path(__file__).with_name("pod.yaml")
# TEST-NET-2 (RFC 5737): no machine's own network.
INSIDE, OUTSIDE = "198.51.100.2", "198.51.100.1"


def test_a_pod_serves_attested_tokens(context):
    if missing() or os.geteuid() != 0:
        context.skip(f"no pod: as root, with podman; missing here: {missing() or 'root'}")
    with pod(context) as podman:
        server, folder = f"{INSIDE}:8443", podman.folder
        policy = ratel(context, "policy", "init", server)
        (folder / "server.yaml").write_text(policy)
        said = ratel(
            context, "verify", server, "--policy", folder / "server.yaml", "--json")
        shown = json.loads(said)
        assert shown["admitted"] is True and shown["evidence"][0]["format"] == "tpm", said
        assert shown["configuration"]["backend"] == "loopback", said
        tokens_come(context, folder, server)
        (sidecar,) = json.loads(podman("inspect", "llm-ratel-pod-0-ratel"))
        assert sidecar["Config"]["User"] == "65532:65532", sidecar["Config"]["User"]
        assert not sidecar["EffectiveCaps"] and not sidecar["HostConfig"]["Privileged"]
        assert sidecar["HostConfig"]["ReadonlyRootfs"] is True
        assert "no-new-privileges" in sidecar["HostConfig"]["SecurityOpt"]
        # Nothing but Ratel answers at the pod's address.
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"http://{INSIDE}:8000/v1/models", timeout=2)
            raise AssertionError("the backend answers at the pod's address")


@contextlib.contextmanager
def pod(context):
    with scratch() as place:
        folder = pathlib.Path(place)
        podman = Podman(folder)
        context.note(podman.load(context.ratel))
        with shared_tpm(folder / "tpm"):
            (folder / "pod.yaml").write_text(manifests(folder / "tpm"))
            podman("kube", "play", "--network", "none", folder / "pod.yaml")
            try:
                first = podman("pod", "inspect", "llm-ratel-pod-0", "--format",
                               "{{.InfraContainerID}}").strip()
                pid = podman("inspect", "--format", "{{.State.Pid}}", first).strip()
                with link(pid, INSIDE, OUTSIDE):
                    wait_until(is_ready, 60, "the pod's /readyz")
                    yield podman
            except Exception:
                for container in ("ratel", "backend"):
                    print(podman.logs(f"llm-ratel-pod-0-{container}")[-2000:])
                raise
            finally:
                podman("kube", "down", folder / "pod.yaml", good=False)


@contextlib.contextmanager
def shared_tpm(folder):
    """A software TPM whose socket user 65532 of the pod may open."""
    folder.mkdir()
    tpm = software_tpm(folder, "tpm")
    with tpm:
        folder.chmod(0o755)
        (folder / "tpm.sock").chmod(0o666)
        (folder / "tpm.sock.ctrl").chmod(0o666)
        yield


def manifests(tpm):
    """Of the chart, what podman knows: the Deployment and the ConfigMap."""
    volume = [{"name": "tpm", "hostPath": {"path": str(tpm), "type": "Directory"}}]
    done = run("Helm 4", "template", "llm", CHART, "--values", VALUES, "--set-json",
               f"deployment.extraVolumes={json.dumps(volume)}", "--show-only",
               "templates/configmap.yaml", "--show-only", "templates/deployment.yaml")
    assert done.returncode == 0, done.stderr
    policy, deployment = yaml.safe_load_all(done.stdout)
    # podman takes a container's port for one to be published on this machine, which it does not do
    # in a network that it is given. Nothing else is changed.
    for container in deployment["spec"]["template"]["spec"]["containers"]:
        container.pop("ports", None)
    return yaml.safe_dump_all([policy, deployment])


def is_ready():
    with contextlib.suppress(OSError):
        with urllib.request.urlopen(f"http://{INSIDE}:9901/readyz", timeout=2) as answer:
            return answer.status == 200


def ratel(context, *words):
    done = subprocess.run(
        [str(word) for word in (context.ratel, *words)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout


def tokens_come(context, folder, server):
    """A stream through `ratel connect`; the pod drains meanwhile, and the stream is whole."""
    port = free_port()
    command = [context.ratel, "connect", server, "--policy", folder / "server.yaml", "--listen",
               f"127.0.0.1:{port}"]
    with Process("connect", command, folder) as connect:
        connect.wait_for_port(port)
        body = {"model": "demo", "stream": True,
                "messages": [{"role": "user", "content": "Hello from outside of the pod"}]}
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/chat/completions", json.dumps(body).encode(),
            {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            lines = [answer.readline()]
            drained = drain()
            lines += answer.readlines()
        events = [line for line in lines if line.startswith(b"data: ")]
        assert len(events) > 20 and events[-1] == b"data: [DONE]\n", events[-3:]
        drained.join(30)
        assert drained.status == 200, drained.status
        context.note(f"{len(events)} events of an attested stream, during which the pod drained")


class Drain(threading.Thread):
    """What the backend's preStop asks: it is answered when the last stream has ended."""

    status = None

    def run(self):
        with urllib.request.urlopen(f"http://{INSIDE}:9901/drain", timeout=60) as answer:
            self.status = answer.status


def drain():
    thread = Drain(daemon=True)
    thread.start()
    return thread
