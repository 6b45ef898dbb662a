"""The files of the image: Ratel, the libraries it needs, and nothing that could run beside it."""

import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
from entries import Entries, Package
from refusal import Refusal

LIBRARIES = "usr/lib/x86_64-linux-gnu/"
LOADER = "ld-linux-x86-64.so.2"
# What libtss2-tctildr opens by name for the two ways to a TPM: a device, and swtpm.
OPENED = ["libtss2-tcti-device.so.0", "libtss2-tcti-swtpm.so.0"]
USER = 65532  # The number that distroless images use for `nonroot`, which Kubernetes can check.
PASSWD = f"""root:x:0:0:root:/:/nonexistent
ratel:x:{USER}:{USER}:Ratel:/nonexistent:/nonexistent
"""
GROUP = f"""root:x:0:
ratel:x:{USER}:
"""
# Without it the C library asks files first as well; written down so that it stays so.
NSSWITCH = "passwd: files\ngroup: files\nhosts: files dns\n"
# Where a runtime mounts what it needs: a read-only root cannot make a folder later.
PLACES = ["dev", "proc", "run", "sys", "tmp", "etc/ratel"]


def assemble(binary, packages):
    """`packages` are the files of the lock's packages by name."""
    opened = {name: Package(file) for name, file in sorted(packages.items())}
    entries = Entries()
    for place in PLACES:
        entries.folder(place)
    for name in ("bin", "lib", "lib64", "sbin"):
        entries.link(name, f"usr/{name}", "base-files")
    for name in ("usr/lib64", "usr/sbin"):
        entries.folder(name)
    entries.file("usr/bin/ratel", binary, 0o755)
    add_libraries(entries, opened, [("usr/bin/ratel", binary)], OPENED)
    entries.link(f"usr/lib64/{LOADER}", f"../lib/x86_64-linux-gnu/{LOADER}", "libc6")
    add_authorities(entries, opened["ca-certificates"])
    for path in ("usr/lib/os-release", "etc/debian_version"):
        entries.file(path, opened["base-files"].read(path), origin="base-files")
    entries.link("etc/os-release", "../usr/lib/os-release", "base-files")
    entries.file("etc/passwd", PASSWD.encode())
    entries.file("etc/group", GROUP.encode())
    entries.file("etc/nsswitch.conf", NSSWITCH.encode())
    used = {one.origin for one in entries.values()} - {"ratel"}
    for name in sorted(used):
        describe(entries, name, opened)
    unused = set(opened) - {one.origin for one in entries.values()}
    if unused:
        raise Refusal(
            "image.package.unused", "packages that the image takes files from",
            " ".join(sorted(unused)), "remove them from `wanted` and renew the lock")
    return entries


def add_libraries(entries, opened, programs, names):
    """The closure of what the programs name (DT_NEEDED), and of what is opened by name."""
    where = {}
    for package, one in opened.items():
        for path in one.members:
            if path.startswith(LIBRARIES) and "/" not in path[len(LIBRARIES):]:
                where[path[len(LIBRARIES):]] = package
    waiting = list(names)
    for path, data in programs:
        waiting += needed(path, data)
    while waiting:
        name = waiting.pop()
        if LIBRARIES + name in entries:
            continue
        if name not in where:
            raise Refusal(
                "image.library.missing", f"{name} in a package of the lock", "none has it",
                "add the package to `wanted` and renew the lock")
        package = where[name]
        member = opened[package].members[LIBRARIES + name]
        if member.issym():
            entries.link(LIBRARIES + name, member.linkname, package)
            waiting.append(member.linkname)
        else:
            data = opened[package].read(LIBRARIES + name)
            # The loader is a program too; nobody needs to run it by name.
            entries.file(LIBRARIES + name, data, 0o755 if name == LOADER else 0o644, package)
            waiting += needed(name, data)


def needed(path, data):
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        words = ["readelf", "--dynamic", "--wide", file.name]
        shown = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    if re.search(r"\((?:RPATH|RUNPATH)\)(?!.*\[\$ORIGIN\])", shown):
        raise Refusal(
            "image.library.path", "a program that looks where the system does", path,
            "build it without a run path")
    return re.findall(r"\(NEEDED\).*\[(.+)\]", shown)


def add_authorities(entries, package):
    """What update-ca-certificates writes: every authority of Mozilla's, in the order of names."""
    paths = package.files("usr/share/ca-certificates/mozilla/")
    if not paths:
        raise Refusal(
            "image.authorities", "certificates of authorities", "none", "look at ca-certificates")
    bundle = b"".join(package.read(path).rstrip(b"\n") + b"\n" for path in paths)
    entries.file("etc/ssl/certs/ca-certificates.crt", bundle, origin=package_name(package))


def package_name(package):
    return re.search(r"^Package: (\S+)$", package.control, re.MULTILINE)[1]


def describe(entries, name, opened):
    """The licence, and the control file where scanners for known vulnerabilities look."""
    folder = opened[name].members.get(f"usr/share/doc/{name}")
    if folder is not None and folder.issym():
        holder = pathlib.PurePath(folder.linkname).name
        entries.link(f"usr/share/doc/{name}", folder.linkname, name)
    else:
        holder = name
    path = f"usr/share/doc/{holder}/copyright"
    member = opened[holder].members[path]
    if member.issym():  # Of a package that shares its licence with another of its source.
        target = str(pathlib.PurePath("/", path).parent / member.linkname).lstrip("/")
        path, holder = target, target.split("/")[3]
    entries.file(path, opened[holder].read(path), origin=holder)
    entries.file(f"var/lib/dpkg/status.d/{name}", opened[name].control.encode(), origin=name)
    if holder != name and f"var/lib/dpkg/status.d/{holder}" not in entries:
        describe(entries, holder, opened)


def listing(entries):
    """One line per file, for a reader; the largest first."""
    files = [(len(one.data), path, one.origin) for path, one in entries.items() if one.data]
    return [f"{size:>10}  {path}  ({origin})" for size, path, origin in sorted(files)[::-1]]


