"""What the tests of images share: where things are, an engine for containers, an image's files."""

import contextlib
import io
import json
import os
import pathlib
import resource
import subprocess
import sys
import tarfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
for folder in ("Images/tools", "Images/ratel", "Tests/EndToEnd"):
    sys.path.insert(0, str(ROOT / folder))
BUILT = ROOT / ".build" / "image"


def image():
    """The image that `make image` wrote last."""
    return one(BUILT.glob("ratel-*.oci.tar"))


def sbom():
    return json.loads(one(BUILT.glob("ratel-*.spdx.json")).read_text())


def one(paths):
    found = list(paths)
    assert len(found) == 1, f"one file of `make image`, not {len(found)}"
    return found[0]


def unpack(folder):
    """The image's files as a tree."""
    import scan

    data, _ = scan.layer(image())
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        archive.extractall(folder, filter="tar")
    return folder


def run(*words, check=True, timeout=120, **options):
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, timeout=timeout, **options)
    assert not check or done.returncode == 0, f"{words}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done


class Engine:
    """podman with a store of its own, without systemd and without a network."""

    # Of each container: as little as a pod's security context can leave.
    CONFINED = ["--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges"]

    def __init__(self, folder):
        settings = folder / "containers.conf"
        # More than this process may have is refused, and the default is a million.
        files = min(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        settings.write_text(
            f'[containers]\ndefault_ulimits = ["nofile={files}:{files}", "nproc=4096:4096"]\n'
            '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\nruntime = "runc"\n')
        self.environment = {**os.environ, "CONTAINERS_CONF": str(settings)}
        self.words = [
            "podman", "--root", folder / "store", "--runroot", folder / "run",
            "--storage-driver", "vfs"]

    def __call__(self, *words, **options):
        return run(*self.words, *words, env=self.environment, **options)

    @contextlib.contextmanager
    def container(self, *words):
        """Starts a container; gives its name, and its first process as this machine knows it."""
        name = self("run", "-d", *self.CONFINED, *words).stdout.strip()
        try:
            shown = json.loads(self("inspect", name).stdout)[0]["State"]
            assert shown["Running"], self("logs", name).stderr
            yield name, shown["Pid"]
        finally:
            self("rm", "-f", "-t", "2", name, check=False)
