"""The root file system of the machine: the container image's files, an init, and a backend."""

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tools"), str(HERE.parent / "ratel")]
import root
from entries import Package
from refusal import Refusal

BACKEND = root.USER + 1
# 4 GiB: the tree is put together in memory, twice, and a machine that builds has 16.
MOST = 4 << 30


def build(binary, packages, own, backend, callers):
    """`packages` are those of the container image, `own` those of the machine's image."""
    entries = root.assemble(binary, packages)
    busybox = Package(own["busybox-static"])
    entries.file("usr/bin/busybox", busybox.read("usr/bin/busybox"), 0o755, "busybox-static")
    entries.link("usr/sbin/init", "../bin/busybox", "busybox-static")
    entries.link("etc/resolv.conf", "../run/resolv.conf")
    entries.replace("etc/passwd", root.PASSWD + user("backend"))
    entries.replace("etc/group", root.GROUP + f"backend:x:{BACKEND}:\n")
    entries.file("etc/inittab", (HERE / "root/inittab").read_bytes())
    entries.file("etc/ratel/serve.yaml", (HERE / "root/serve.yaml").read_bytes())
    entries.file("etc/ratel/callers.yaml", callers.read_bytes())
    for name in ("boot", "lease", "serve", "backend"):
        entries.file(f"usr/lib/ratel/{name}", (HERE / "root" / name).read_bytes(), 0o755)
    add_backend(entries, backend)
    return entries


def user(name):
    return f"{name}:x:{BACKEND}:{BACKEND}::/tmp:/nonexistent\n"


def add_backend(entries, folder):
    if not (folder / "run").is_file():
        raise Refusal(
            "cvm.backend", f"a program {folder}/run", "none",
            "name a folder whose `run` starts the inference server on 127.0.0.1:8000")
    size = 0
    for path in sorted(folder.rglob("*")):
        name = f"backend/{path.relative_to(folder)}"
        if path.is_symlink():
            entries.link(name, str(path.readlink()))
        elif path.is_dir():
            entries.folder(name)
        else:
            size += path.stat().st_size
            if size > MOST:
                raise Refusal(
                    "cvm.backend.size", f"at most {MOST} bytes", f"more, at {path}",
                    "keep weights on a disk of their own, and have `run` check them")
            runs = path.stat().st_mode & 0o100 or path == folder / "run"
            entries.file(name, path.read_bytes(), 0o755 if runs else 0o644)
