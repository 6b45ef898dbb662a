"""Builds the `ratel` of an image: from a commit, at one fixed path, with pinned dependencies.

Swift's output follows the path it was built at, so the work folder is mounted on /mnt in a mount
namespace of its own, which has its own /tmp too: no two builds meet there, and none needs root.
"""

import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
from refusal import Refusal

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path.home() / ".cache" / "ratel" / "dependencies"
# Whose headers the binary is compiled with: a part of what the build depends on.
HEADERS = [
    "libc6-dev", "libnghttp2-dev", "libpq-dev", "libsqlite3-dev", "libssl-dev",
    "libstdc++-12-dev", "libtss2-dev", "libuv1-dev", "libxml2-dev", "zlib1g-dev"]
# The linker's identifier is a hash over the debugging information too, which names files that the
# compiler made under random names; without both, what is left depends on the sources alone.
STRIPPED = ["--strip-all", "--remove-section=.note.gnu.build-id"]
# Runs inside the namespace; /mnt is there on every Debian (FHS section 3.12). The compiler walks
# sets of addresses here and there, and the order of instructions follows: so every process of it
# gets the same addresses (no randomization, one thread, the same arguments and environment), and
# hashes without a seed. What it notes for its next run, a hash of the module, is left out.
INSIDE = """
set -eu
mount --bind "$1" /mnt
mount --bind "$2" /mnt/toolchain
mount -t tmpfs tmp /tmp
cd /mnt/source
unset OLDPWD
exec setarch --addr-no-randomize swift build -c release --static-swift-stdlib --product ratel \
    --jobs 1 -Xswiftc -num-threads -Xswiftc 1 \
    -Xswiftc -Xfrontend -Xswiftc -disable-incremental-llvm-codegen --scratch-path /mnt/build \
    --cache-path /mnt/cache --config-path /mnt/config --security-path /mnt/security \
    --only-use-versions-from-resolved-file
"""


def build(lock, commit, work):
    """Answers the stripped binary, and what it was made of, for the provenance."""
    toolchain = check_toolchain(lock)
    repositories = [dependency(one) for one in lock["dependencies"]]
    materials = {
        "commit": commit, "toolchain": toolchain, "headers": headers(),
        "dependencies": repositories_of(lock, repositories)}
    # Only these are compiled into the product.
    sources = git(ROOT, "rev-parse", f"{commit}:Sources", f"{commit}:Package.swift").split()
    recipe = [sources, {**materials, "commit": None}, INSIDE, STRIPPED, environment(lock, {})]
    key = digest(json.dumps(recipe, sort_keys=True).encode())
    binary = work / "binary" / key / "ratel"
    if not binary.exists():
        compile_at_fixed_path(lock, commit, repositories, work)
        binary.parent.mkdir(parents=True, exist_ok=True)
        built = work / "swift" / "build" / "release" / "ratel"
        half = binary.with_suffix(".half")
        subprocess.run(["strip", *STRIPPED, "-o", half, built], check=True)
        os.replace(half, binary)
        shutil.rmtree(work / "swift")
    return binary.read_bytes(), materials


def compile_at_fixed_path(lock, commit, repositories, work):
    place = work / "swift"
    shutil.rmtree(place, ignore_errors=True)
    source = place / "source"
    source.mkdir(parents=True)
    (place / "toolchain").mkdir()
    archive = subprocess.run(
        ["git", "archive", "--format=tar", commit], cwd=ROOT, check=True, capture_output=True)
    subprocess.run(["tar", "-x", "-C", source], input=archive.stdout, check=True)
    (source / "Package.resolved").write_text(json.dumps(resolved(lock)))
    rewritten = {}
    for one, repository in zip(lock["dependencies"], repositories):
        shutil.copytree(repository, place / "dependencies" / repository.name)
        rewritten[one["url"]] = f"/mnt/dependencies/{repository.name}"
    space = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "-Urm"]
    subprocess.run(
        [*space, "sh", "-c", INSIDE, "build", place, compiler().parents[2]], check=True,
        stdout=sys.stderr, env=environment(lock, rewritten))


def environment(lock, rewritten):
    """Nothing of the caller's."""
    settings = {
        "PATH": "/mnt/toolchain/usr/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/mnt/home",
        "LANG": "C.UTF-8", "TZ": "UTC0",
        "SWIFT_DETERMINISTIC_HASHING": "1", "SOURCE_DATE_EPOCH": str(lock["source_date_epoch"]),
        "GIT_CONFIG_GLOBAL": "/dev/null",
        # The copies may belong to another user, as seen from the namespace.
        "GIT_CONFIG_COUNT": str(len(rewritten) + 1), "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*"}
    for number, (url, place) in enumerate(rewritten.items(), 1):
        settings[f"GIT_CONFIG_KEY_{number}"] = f"url.{place}.insteadOf"
        settings[f"GIT_CONFIG_VALUE_{number}"] = url
    return settings


def resolved(lock):
    pins = [
        {"identity": one["identity"], "kind": "remoteSourceControl", "location": one["url"],
         "state": {"revision": one["revision"], "version": one["version"]}}
        for one in lock["dependencies"]]
    return {"pins": pins, "version": 2}


def dependency(one):
    """A bare repository that has the pinned revision; git's name of it covers its content."""
    place = CACHE / f"{one['identity']}.git"
    if not has(place, one):
        shutil.rmtree(place, ignore_errors=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["git", "clone", "-q", "--mirror", one["url"], place], check=True)
    if not has(place, one):
        raise Refusal(
            "image.dependency.revision", f"{one['url']} at {one['revision']}", "not in it",
            "correct `dependencies` in the lock")
    return place


def has(place, one):
    words = ["git", "-C", place, "cat-file", "-e", f"{one['revision']}^{{commit}}"]
    return place.exists() and subprocess.run(words, capture_output=True).returncode == 0


def repositories_of(lock, repositories):
    """The revision, and the SHA-256 of its files: git's own names are SHA-1."""
    found = []
    for one, place in zip(lock["dependencies"], repositories):
        words = ["git", "-C", place, "archive", "--format=tar", one["revision"]]
        got = digest(subprocess.run(words, check=True, capture_output=True).stdout)
        if got != one["sha256"]:
            raise Refusal(
                "image.dependency.digest", f"{one['url']}: SHA-256 {one['sha256']}", got,
                "the repository holds something else under that name: do not use it")
        found.append(one)
    return found


def check_toolchain(lock):
    shown = subprocess.run(["swift", "--version"], check=True, capture_output=True, text=True)
    version = re.search(r"Swift version (\S+)", shown.stdout)[1]
    if version != lock["swift"]:
        raise Refusal(
            "image.toolchain", f"Swift {lock['swift']}", f"Swift {version}",
            "install that toolchain: another one makes another binary")
    return {"version": version, "swift-frontend": digest(compiler().read_bytes())}


def compiler():
    return pathlib.Path(shutil.which("swift")).resolve().parent / "swift-frontend"


def headers():
    words = ["dpkg-query", "-W", "-f=${Package} ${Version}\n", *HEADERS]
    shown = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    return dict(line.split() for line in shown.splitlines())


def git(folder, *words):
    words = ["git", "-C", str(folder), *words]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


def digest(data):
    return hashlib.sha256(data).hexdigest()
