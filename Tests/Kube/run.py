"""The Helm chart and `ratel webhook` with a real API server; a pod of the chart under podman.

run.py RATEL [TEST ...]        make test-kube
"""

import importlib
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path += [str(HERE.parent / "Chart"), str(HERE.parent / "Support")]

import cluster  # noqa: E402
from cases import Skipped, attempt  # noqa: E402

# The account that the chart's webhook runs as: its rights are those that the chart gives it.
WEBHOOK = "inference/llm-ratel-webhook"


class Context:
    def __init__(self, ratel, cluster):
        self.ratel, self.cluster = ratel, cluster

    def skip(self, why):
        raise Skipped(why)

    @staticmethod
    def note(text):
        print(f"    {text}", flush=True)


def main():
    ratel, chosen = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:]
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    with cluster.running([WEBHOOK]) as server:
        print(f"kube-apiserver {server.version} on {server.url}", flush=True)
        context = Context(ratel, server)
        for path in sorted(HERE.glob("test_*.py")):
            module = importlib.import_module(path.stem)
            tests = [name for name in dir(module) if name.startswith("test_")]
            tests = [name for name in tests if not chosen or {name, path.stem} & set(chosen)]
            if tests:
                print(f"{path.stem}: {module.__doc__.splitlines()[0]}", flush=True)
            for name in tests:
                counts[attempt(name, getattr(module, name), context)] += 1
    ended = "{passed} passed, {failed} failed".format(**counts)
    print(ended + (f", {counts['skipped']} skipped" if counts["skipped"] else ""))
    sys.exit(1 if counts["failed"] or not counts["passed"] else 0)


if __name__ == "__main__":
    main()
