"""What dashboard, alerts and autoscaler ask for is there on /metrics of a `ratel serve`."""

import json
import pathlib
import re
import sys
import urllib.request

import yaml

from tools import CHART, HERE, documents, find

sys.path.insert(0, str(HERE.parent / "EndToEnd"))

from harness import Process, free_port, scratch, wait_until  # noqa: E402

NAME = re.compile(r"\bratel_[a-z0-9_]+")
ON_BOARD = ("expr", "query")


def test_names_are_those_of_a_running_serve(ratel):
    shown = names_shown(ratel)
    assert "ratel_streams" in shown and len(shown) > 30, shown
    for what, asked in names_asked().items():
        assert asked, what
        assert asked <= shown, (what, sorted(asked - shown))


def names_shown(ratel):
    with scratch() as name:
        folder = pathlib.Path(name)
        (folder / "policy.yaml").write_text("version: 1\npeers: anonymous\n")
        admin = free_port()
        command = [
            ratel, "serve", "--listen", f"127.0.0.1:{free_port()}", "--admin",
            f"127.0.0.1:{admin}", "--backend", f"http://127.0.0.1:{free_port()}", "--policy",
            folder / "policy.yaml", "--attester", "simulated", "--workers", "1"]
        with Process("serve", command, folder):
            page = wait_until(lambda: metrics(admin), 20, "metrics")
    return {re.split(r"[{ ]", line)[0] for line in page.splitlines() if not line.startswith("#")} \
        | set(re.findall(r"(?m)^# TYPE (\S+) (?:counter|gauge)$", page))


def metrics(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            return answer.read().decode()
    except OSError:
        return None


def names_asked():
    manifests = documents("Helm 4", HERE / "values" / "everything.yaml")
    board = json.loads(find(manifests, "ConfigMap", "llm-ratel-dashboard")["data"]["ratel.json"])
    assert board == json.loads((CHART / "files" / "dashboard.json").read_text())
    rules = find(manifests, "PrometheusRule")["spec"]
    assert rules == yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())
    scaler = find(manifests, "HorizontalPodAutoscaler")["spec"]["metrics"]
    return {
        "dashboard": names_in(board, ON_BOARD),
        "alerts": names_in(rules, ("expr",)),
        "autoscaler": {metric["pods"]["metric"]["name"] for metric in scaler},
    }


def names_in(node, keys):
    """In every expression of it, however deep."""
    if isinstance(node, list):
        return set().union(*(names_in(item, keys) for item in node)) if node else set()
    if not isinstance(node, dict):
        return set()
    found = set()
    for key, value in node.items():
        if key in keys and isinstance(value, str):
            found |= set(NAME.findall(value))
        else:
            found |= names_in(value, keys)
    return found
