"""Debian packages that a lock file pins: `renew` writes the file, `fetch` brings what it names.

    archive.py renew LOCK        asks the archive which versions it has today
    archive.py fetch LOCK        downloads and checks what is pinned

A lock names each package by its place in the archive, its size and its SHA-256, so that whoever
serves the bytes need not be trusted. `renew` trusts what apt trusts: the archive's signed index.
"""

import concurrent.futures
import datetime
import email.utils
import fnmatch
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from refusal import Refusal, refusing

MIRROR = os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org")
# Keeps what a point release removed. By the date in the lock; HTTPS, though nothing depends on it.
SNAPSHOT = "https://snapshot.debian.org/archive"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
CACHE = pathlib.Path(
    os.environ.get("RATEL_PACKAGES", pathlib.Path.home() / ".cache" / "ratel" / "packages"))
# A package of the largest kind, linux-image, has 40 MB: 10 s at 40 Mbit/s, and six times that.
TIMEOUT = 60


def load(path):
    return json.loads(pathlib.Path(path).read_text())


def renew(path):
    """Writes the versions that the archive has now of the packages in `wanted`."""
    lock = load(path)
    architecture = lock["architecture"]
    with tempfile.TemporaryDirectory() as folder:
        apt = private_apt(pathlib.Path(folder), lock)
        subprocess.run([*apt("apt-get"), "-q", "update"], check=True, stdout=sys.stderr)
        printed = subprocess.run(
            [*apt("apt-get"), "install", "--print-uris", "-qq", "--no-install-recommends",
             *lock["wanted"]], check=True, capture_output=True, text=True).stdout
        found = [
            package(line, architecture) for line in printed.splitlines() if line.startswith("'")]
        dates = release_dates(pathlib.Path(folder))
        packages = [
            one for one in found
            if any(fnmatch.fnmatchcase(one["name"], want) for want in kept(lock))]
        for one in packages:
            one["source"] = source(apt, one)
    missing = [
        want for want in kept(lock)
        if not any(fnmatch.fnmatchcase(one["name"], want) for one in packages)]
    if missing:
        raise Refusal(
            "lock.package.unknown", "packages of the archive", " ".join(missing),
            "correct `wanted` in the lock")
    lock["archive"]["date"] = max(dates).strftime("%Y-%m-%dT%H:%M:%SZ")
    lock["source_date_epoch"] = int(max(dates).timestamp())
    lock["packages"] = sorted(packages, key=lambda one: one["name"])
    pathlib.Path(path).write_text(json.dumps(lock, indent=1, sort_keys=True) + "\n")
    print(f"{path}: {len(packages)} packages of {lock['archive']['date']}")


def kept(lock):
    """What is taken of all that apt would install: an image holds files, not installed packages."""
    return lock.get("kept", lock["wanted"])


def private_apt(folder, lock):
    """An apt that knows nothing of this machine: neither its sources nor what it has installed."""
    for name in ("etc/apt/preferences.d", "state/lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    sources = [
        f"deb [signed-by={KEYRING}] {MIRROR}/{suite['archive']} {suite['name']} main"
        for suite in lock["archive"]["suites"]]
    (folder / "sources.list").write_text("\n".join(sources) + "\n")
    (folder / "status").write_text("")
    settings = {
        "Dir::Etc": folder / "etc/apt", "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "-", "Dir::State": folder / "state",
        "Dir::State::status": folder / "status", "Dir::Cache": folder / "cache",
        "APT::Architecture": lock["architecture"], "APT::Architectures": lock["architecture"],
        "APT::Sandbox::User": "root", "Acquire::Languages": "none",
        "Acquire::ForceHash": "SHA256"}  # In `--print-uris`, which shows MD5 otherwise.
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    return lambda program: [program, *options]


def package(line, architecture):
    """Reads `'URI' file size SHA256:digest`, as apt prints it."""
    match = re.fullmatch(r"'([^']+)' (\S+)_([^_]+)_(\S+)\.deb (\d+) SHA256:([0-9a-f]{64})", line)
    if not match:
        raise Refusal("lock.apt", "an URI with a SHA-256", line, "update apt")
    uri, name, version, kind, size, digest = match.groups()
    place = uri.removeprefix(MIRROR + "/")
    archive, _, path = place.partition("/")
    if kind not in (architecture, "all") or not path.startswith("pool/"):
        raise Refusal("lock.apt", f"a package of {architecture} in pool/", line, "update apt")
    return {
        "name": name, "version": urllib.parse.unquote(version), "architecture": kind,
        "archive": archive, "path": path, "size": int(size), "sha256": digest}


def source(apt, one):
    """The source package, by which advisories are filed."""
    shown = subprocess.run(
        [*apt("apt-cache"), "show", f"{one['name']}={one['version']}"],
        check=True, capture_output=True, text=True).stdout
    named = re.search(r"^Source: (\S+)(?: \((\S+)\))?$", shown, re.MULTILINE)
    name, version = named.groups() if named else (one["name"], None)
    return {"name": name, "version": version or one["version"]}


def release_dates(folder):
    texts = [path.read_text() for path in (folder / "state/lists").glob("*InRelease")]
    found = [re.search(r"^Date: (.+)$", text, re.MULTILINE)[1] for text in texts]
    return [email.utils.parsedate_to_datetime(date).astimezone(datetime.UTC) for date in found]


def fetch(path, folder=CACHE):
    """Brings every package of the lock; answers {name: file}. Each is checked, cached or not."""
    lock = load(path)
    folder.mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:  # The mirror's own limit is higher.
        files = pool.map(lambda one: fetch_one(one, lock, folder), lock["packages"])
        return dict(zip((one["name"] for one in lock["packages"]), files))


def fetch_one(one, lock, folder):
    file = folder / f"{one['sha256']}.deb"
    if file.exists():
        data = file.read_bytes()
        if hashlib.sha256(data).hexdigest() == one["sha256"]:
            return file
    stamp = datetime.datetime.fromisoformat(lock["archive"]["date"]).strftime("%Y%m%dT%H%M%SZ")
    places = [f"{MIRROR}/{one['archive']}", f"{SNAPSHOT}/{one['archive']}/{stamp}"]
    data = download([f"{place}/{urllib.parse.quote(one['path'])}" for place in places], one)
    got = hashlib.sha256(data).hexdigest()
    if (len(data), got) != (one["size"], one["sha256"]):
        raise Refusal(
            "image.package.digest", f"{one['path']}: {one['size']} bytes, SHA-256 {one['sha256']}",
            f"{len(data)} bytes, SHA-256 {got}", "the mirror served something else: do not use it")
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as output:
        output.write(data)
    os.replace(output.name, file)
    return file


def download(uris, one):
    failures = []
    for uri in uris:
        try:
            with urllib.request.urlopen(uri, timeout=TIMEOUT) as answer:
                return answer.read(one["size"] + 1)
        except (urllib.error.URLError, OSError) as error:
            failures.append(f"{uri}: {error}")
    raise Refusal(
        "image.package.absent", one["path"], "; ".join(failures),
        "renew the lock, or set DEBIAN_MIRROR to a mirror that kept this version")


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in ("renew", "fetch"):
        sys.exit(__doc__)
    (renew if sys.argv[1] == "renew" else fetch)(sys.argv[2])


if __name__ == "__main__":
    refusing(main)
