"""podman on a machine without an engine for containers: its own storage, network and settings."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import tarfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
IMAGE = "localhost/ratel:0.1.0"
# In a container of one's own there is neither systemd nor a limit that may be raised.
SETTINGS = """\
[engine]
cgroup_manager = "cgroupfs"
runtime = "runc"
events_logger = "file"
[containers]
log_driver = "k8s-file"
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
"""


class Podman:
    def __init__(self, folder):
        self.folder = folder
        (folder / "containers.conf").write_text(SETTINGS)
        self.words = [
            "podman", "--root", folder / "storage", "--runroot", folder / "run",
            "--storage-driver", "vfs", "--tmpdir", folder / "tmp"]

    def __call__(self, *words, text=None, good=True, seconds=180):
        done = subprocess.run(
            [str(word) for word in (*self.words, *words)], input=text, capture_output=True,
            text=True, timeout=seconds,
            env=os.environ | {"CONTAINERS_CONF": str(self.folder / "containers.conf")})
        assert done.returncode == 0 or not good, (words, done.stdout, done.stderr)
        return done.stdout

    def logs(self, container):
        """Both streams of it: podman keeps them apart."""
        done = subprocess.run(
            [str(word) for word in (*self.words, "logs", container)], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=30)
        return done.stdout

    def load(self, ratel):
        """The image of `make image`, or one made here of the built command and its libraries."""
        built = sorted((ROOT / ".build" / "image").glob("ratel-*.oci.tar"))
        if built:
            self("load", "--input", built[-1])
            return f"the image of `make image`, {built[-1].name}"
        self("import", "--change", 'ENTRYPOINT ["/usr/bin/ratel"]', tree(self.folder, ratel), IMAGE)
        return "an image made for the test: `make image` has not run"


def tree(folder, ratel):
    """A tar of the command and what it is linked to."""
    path = folder / "image.tar"
    said = subprocess.run(["ldd", ratel], capture_output=True, text=True, check=True).stdout
    files = {part for part in said.split() if part.startswith("/")}
    library = pathlib.Path(next(file for file in files if "libtss2-tctildr" in file)).parent
    files |= {str(library / "libtss2-tcti-swtpm.so.0"), str(library / "libtss2-mu.so.0")}
    with tarfile.open(path, "w") as archive:
        archive.add(ratel, "usr/bin/ratel")
        for file in sorted(files):
            archive.add(os.path.realpath(file), file.lstrip("/"))
    return path


@contextlib.contextmanager
def link(pid, inside, outside):
    """A wire into the network of a process, which had none: one address at each end."""
    def ip(*words, within=()):
        subprocess.run([*within, "ip", *words], check=True, capture_output=True)

    pod = ["nsenter", "--target", str(pid), "--net"]
    near, far = f"ratel{os.getpid()}a", f"ratel{os.getpid()}b"
    ip("link", "add", near, "type", "veth", "peer", "name", far)
    try:
        ip("link", "set", far, "netns", str(pid))
        ip("addr", "add", f"{outside}/30", "dev", near)
        ip("link", "set", near, "up")
        ip("addr", "add", f"{inside}/30", "dev", far, within=pod)
        ip("link", "set", far, "up", within=pod)
        yield
    finally:
        # Its other end goes with it.
        subprocess.run(["ip", "link", "delete", near], check=False, capture_output=True)


def missing():
    """Programs that are not here."""
    return [name for name in ("podman", "runc", "conmon", "catatonit", "ip", "nsenter", "swtpm")
            if not shutil.which(name)]
