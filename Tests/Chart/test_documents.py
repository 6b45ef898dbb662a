"""The values that the documentation tells a new user to write are those that the chart takes."""

import pathlib
import re
import shlex
import subprocess
import tempfile

from tools import CHART, HELMS, ROOT, template

PAGES = ROOT / "Sources" / "Ratel" / "Ratel.docc"
POLICY = "version: 1\npeers: anonymous\n"


def blocks(page, beginning):
    """Blocks of code of a page that hold values of the chart, with digests written out."""
    found = re.findall(r"```\w*\n(.*?)```", (PAGES / page).read_text(), re.DOTALL)
    digest = "sha256:" + "0" * 64
    return [block.replace("sha256:…", digest) for block in found if beginning in block]


def test_values_of_the_pages(ratel):
    (install,) = blocks("Kubernetes.md", "cat > values.yaml")
    (coco,) = blocks("ConfidentialContainers.md", "runtimeClass:")
    (router,) = blocks("RouterOperations.md", "router:\n")
    written = re.search(r"<<'END'\n(.*?)END\n", install, re.DOTALL)[1]
    for values in (written, coco):
        for name in HELMS:
            done = template(name, "--values", "-", "--set", f"policy={POLICY}", text=values)
            assert done.returncode == 0, (name, done.stderr)
    for name in HELMS:
        words = ["router.policy=" + POLICY, "router.providers=version: 1"]
        done = template(name, "--values", "-", "--set", words[0], "--set", words[1], text=router)
        assert done.returncode == 0, (name, done.stderr)


def test_the_policy_of_the_page(ratel):
    (policy,) = blocks("Kubernetes.md", "peers: anonymous")
    assert policy == POLICY, policy
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(policy)
        file.flush()
        done = subprocess.run(
            [ratel, "policy", "check", file.name], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_readmes_command(ratel):
    """The first command of the chart's README, as `helm template`."""
    text = (CHART / "README.md").read_text()
    command = re.search(r"```\n(helm install .*?)```", text, re.DOTALL)[1]
    words = shlex.split(command.replace("sha256:…", "sha256:" + "0" * 64).replace("\\\n", " "))
    assert words[:4] == ["helm", "install", "llm", "Helm/ratel"], words
    assert words[-2:] == ["--set-file", "policy=callers.yaml"], words
    chosen = [word for word in words[4:-2] if word != "--create-namespace"]
    for name in HELMS:
        done = template(name, *chosen, "--set", f"policy={POLICY}")
        assert done.returncode == 0, (name, done.stderr)


def test_the_readmes_router(ratel):
    """The command that installs a router by itself."""
    text = (CHART / "README.md").read_text()
    command = re.search(r"```\n(helm install market .*?)```", text, re.DOTALL)[1]
    words = shlex.split(command.replace("sha256:…", "sha256:" + "0" * 64).replace("\\\n", " "))
    files = {"route.yaml": "version: 1\nproviders: []\nkeys: []\n", "provider.yaml": POLICY,
             "callers.yaml": POLICY}
    with tempfile.TemporaryDirectory() as folder:
        for name, body in files.items():
            pathlib.Path(folder, name).write_text(body)
        chosen = [re.sub(r"=(route|provider|callers)\.yaml$", rf"={folder}/\1.yaml", word)
                  for word in words[6:] if word != "--create-namespace"]
        for name in HELMS:
            done = template(name, *chosen)
            assert done.returncode == 0, (name, done.stderr)
            assert "kind: StatefulSet" in done.stdout and "provider.yaml:" in done.stdout, name


def test_rows_of_the_table_of_devices(ratel):
    """Kubernetes.md, step 3: each row's values."""
    text = (PAGES / "Kubernetes.md").read_text()
    rows = re.findall(r"(?m)^\| [^|]* \| (`attester: .*) \|$", text)
    assert len(rows) == 4, rows
    for row in rows:
        parts = re.findall(r"`((?:attester|devices)[^`]*)`", row)
        values = "\n".join(part.replace("{NAME:", "{example.com/tpm:") for part in parts)
        if "devices" not in values:
            values += "\ndevices: {configfsTSM: true}"
        values += "\nimage: {repository: r.example/ratel}\npolicy: 'peers: anonymous'\n"
        values += "backend: {model: m, image: {tag: v1}}\n"
        for name in HELMS:
            done = template(name, "--values", "-", text=values)
            assert done.returncode == 0, (name, values, done.stderr)
