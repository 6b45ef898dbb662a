"""The options and the template that the chart writes are those that the built command takes."""

import pathlib
import re
import subprocess
import sys

from tools import HERE, VALUES, documents, find

sys.path.insert(0, str(HERE.parent / "EndToEnd"))

from harness import Process, free_port, scratch, wait_until  # noqa: E402


def options(ratel, command):
    said = subprocess.run([ratel, command, "--help"], capture_output=True, text=True, timeout=20)
    return set(re.findall(r"^  (--[a-z-]+)", said.stdout, re.MULTILINE))


def containers(name):
    for path in VALUES:
        for document in documents("Helm 4", path):
            if document["kind"] in ("Deployment", "StatefulSet"):
                pod = document["spec"]["template"]["spec"]
                for container in pod.get("initContainers", []) + pod["containers"]:
                    if container["name"] == name:
                        yield path, container


def test_every_option_exists(ratel):
    for name, command in (("ratel", "serve"), ("webhook", "webhook"), ("router", "route")):
        known, seen = options(ratel, command), 0
        assert len(known) > 10, known
        for path, container in containers(name):
            first, *rest = container["args"]
            assert first == command, path.name
            assert {word.split("=")[0] for word in rest} <= known, (path.name, rest)
            seen += 1
        assert seen >= 2, (name, seen)


def test_serve_takes_their_values(ratel):
    """Each set's own arguments, moved to this machine's places, with a simulated attester."""
    for path, container in containers("ratel"):
        with scratch() as folder:
            (pathlib.Path(folder) / "policy.yaml").write_text("version: 1\npeers: anonymous\n")
            moved = {"listen": f"127.0.0.1:{free_port()}", "admin": f"127.0.0.1:{free_port()}",
                     "policy": f"{folder}/policy.yaml", "attester": "simulated",
                     "collateral-cache": "off"}
            command = [ratel]
            for word in container["args"]:
                option = word[2:].split("=")[0]
                if option in ("tls-certificate", "tls-key", "tcti"):
                    continue
                command.append(f"--{option}={moved[option]}" if option in moved else word)
            with Process("serve", command, folder) as serve:
                wait_until(lambda: "listening" in serve.text() or not serve.running(), 20, "serve")
                assert serve.running(), (path.name, serve.text())


def test_route_takes_their_values(ratel):
    """And the file that the ConfigMap holds, with the policies beside it."""
    for path, container in containers("router"):
        with scratch() as name:
            folder = pathlib.Path(name)
            for file, text in files_of(path).items():
                (folder / file).write_text(text)
            moved = {"listen": f"127.0.0.1:{free_port()}", "admin": f"127.0.0.1:{free_port()}",
                     "policy": folder / "policy.yaml", "providers": folder / "route.yaml",
                     "state": folder / "state", "attester": "simulated",
                     "collateral-cache": "off"}
            command = [ratel]
            for word in container["args"]:
                option = word[2:].split("=")[0]
                if option not in ("tls-certificate", "tls-key", "tsm-reports"):
                    command.append(f"--{option}={moved[option]}" if option in moved else word)
            with Process("route", command, folder) as route:
                wait_until(lambda: "listening" in route.text() or not route.running(), 20, "route")
                assert route.running(), (path.name, route.text())
                assert "cannot be used" not in route.text(), (path.name, route.text())


def files_of(path):
    """What lies in the router's folder; of a ConfigMap of the user's own, the least there is."""
    for document in documents("Helm 4", path):
        if document["kind"] == "ConfigMap" and document["metadata"]["name"].endswith("-router"):
            return document["data"]
    return {"policy.yaml": "version: 1\npeers: anonymous\n",
            "route.yaml": "version: 1\nproviders: []\nkeys: []\n"}


def test_the_webhook_takes_the_template(ratel):
    """It listens only when it has understood every line of it."""
    for values in ("everything.yaml", "webhook-alone.yaml"):
        manifests = documents("Helm 4", HERE / "values" / values)
        held = find(manifests, "ConfigMap", "llm-ratel-webhook")["data"]["sidecar.yaml"]
        said = start(ratel, held)
        assert "listening" in said, said
        assert "template.placeholder.unknown" in start(ratel, held.replace("${policy}", "${x}"))


def start(ratel, template):
    with scratch() as folder:
        place = pathlib.Path(folder)
        (place / "sidecar.yaml").write_text(template)
        (place / "token").write_text("nobody asks for it\n")
        # No API server is there; the template is read before one is asked.
        make_authority(place)
        command = [
            ratel, "webhook", "--listen", f"127.0.0.1:{free_port()}", "--admin", "off",
            "--template", place / "sidecar.yaml", "--dns-name", "a.b.svc", "--configuration", "c",
            "--api", f"https://127.0.0.1:{free_port()}", "--api-ca", place / "ca.pem",
            "--api-token", place / "token"]
        with Process("webhook", command, folder) as webhook:
            wait_until(
                lambda: "listening" in webhook.text() or not webhook.running(), 20, "webhook")
            return webhook.text()


def make_authority(place):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", place / "key.pem",
         "-out", place / "ca.pem", "-days", "2", "-subj", "/CN=nobody"],
        check=True, capture_output=True)
