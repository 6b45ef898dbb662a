"""Looks through an image for what does not belong there; one line per finding.

    scan.py IMAGE.oci.tar IMAGE.spdx.json
"""

import hashlib
import io
import json
import pathlib
import re
import sys
import tarfile
import zlib

PROGRAMS = {"usr/bin/ratel", "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"}
# Names that no file has, whatever its mode: a library may be a program too.
SHELLS = {"sh", "bash", "dash", "ash", "zsh", "ksh", "csh", "tcsh", "fish", "busybox", "toybox"}
INTERPRETERS = re.compile(r"(?:python|perl|ruby|node|lua|php|gawk|mawk|awk|tclsh|guile)[0-9.]*")
MANAGERS = {"apt", "apt-get", "dpkg", "dpkg-deb", "rpm", "dnf", "yum", "apk", "pip", "snap"}
# Half a gigabyte, six times what the image has: what grows beyond it is no image of ours.
MOST = 512 << 20


def layer(image):
    """The bytes of the image's only layer; every blob on the way is held to its digest."""
    with tarfile.open(image) as archive:
        index = json.load(archive.extractfile("index.json"))
        manifest = json.loads(blob(archive, index["manifests"][0]))
        config = json.loads(blob(archive, manifest["config"]))
        if len(manifest["layers"]) != 1:
            raise ValueError(f"{len(manifest['layers'])} layers, expected 1")
        data = zlib.decompressobj(31).decompress(blob(archive, manifest["layers"][0]), MOST)
    got = f"sha256:{hashlib.sha256(data).hexdigest()}"
    if config["rootfs"]["diff_ids"] != [got]:
        raise ValueError(f"diff_ids {config['rootfs']['diff_ids']}, but the layer is {got}")
    return data, config


def blob(archive, descriptor):
    data = archive.extractfile(f"blobs/{descriptor['digest'].replace(':', '/')}").read()
    got = f"sha256:{hashlib.sha256(data).hexdigest()}"
    if (got, len(data)) != (descriptor["digest"], descriptor["size"]):
        raise ValueError(f"{descriptor['digest']}: the blob is {got}, {len(data)} bytes")
    return data


def scan(data, listed):
    """`data` is a layer's tar, `listed` what the SBOM says: {path: SHA-256}."""
    findings, seen = [], set()
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            path = member.name.removeprefix("./")
            found = [*modes(member, path), *names(member, path)]
            findings += [f"{path}: {what}" for what in found]
            if member.isfile():
                content = archive.extractfile(member).read()
                findings += [f"{path}: {what}" for what in contents(member, path, content)]
                findings += [f"{path}: {what}" for what in account(path, content, listed)]
                seen.add(path)
    absent = sorted(set(listed) - seen)
    return findings + [f"{path}: in the SBOM, not in the image" for path in absent]


def modes(member, path):
    if member.mode & 0o6000:
        yield "set-user-id or set-group-id"
    if member.mode & 0o022 and not member.issym():
        yield f"mode {member.mode:o}: others than its owner may write it"
    if (member.uid, member.gid) != (0, 0):
        yield f"owned by {member.uid}:{member.gid}, not by root"
    if not (member.isfile() or member.isdir() or member.issym()):
        yield "neither a file nor a folder nor a symbolic link"
    if any("xattr" in key for key in member.pax_headers):
        yield "has extended attributes, such as capabilities"


def names(member, path):
    if member.isdir() or path.startswith(("var/lib/dpkg/status.d/", "usr/share/doc/")):
        return  # The files are named after packages; `contents` looks at what they are.
    name = pathlib.PurePosixPath(path).name
    if name in SHELLS:
        yield "a shell"
    if INTERPRETERS.fullmatch(name):
        yield "an interpreter"
    if name in MANAGERS:
        yield "a package manager"


def contents(member, path, content):
    if member.mode & 0o111 and path not in PROGRAMS:
        yield "a program"
    if content.startswith(b"#!"):
        yield "a script"


def account(path, content, listed):
    if path not in listed:
        yield "not in the SBOM"
    elif hashlib.sha256(content).hexdigest() != listed[path]:
        yield "not as the SBOM says"


def files_of(document):
    return {
        one["fileName"].removeprefix("./"): check["checksumValue"]
        for one in document["files"] for check in one["checksums"]
        if check["algorithm"] == "SHA256"}


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    data, config = layer(sys.argv[1])
    findings = scan(data, files_of(json.loads(pathlib.Path(sys.argv[2]).read_text())))
    if not re.fullmatch(r"[1-9][0-9]*:[1-9][0-9]*", config["config"].get("User", "")):
        findings.append("the image runs as root, or as a name that nobody can check")
    print("\n".join(findings) or "nothing that does not belong there")
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
