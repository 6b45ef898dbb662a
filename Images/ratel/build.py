"""Builds the image of Ratel into a folder: the same bytes wherever and whenever it runs.

    build.py [--output .build/image] [--revision HEAD]

Needs no root and no daemon. Writes the image as a folder and as a tar, the list of what is in it
(SPDX) and how it was made (in-toto, SLSA).
"""

import argparse
import hashlib
import json
import pathlib
import re
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import archive
import binary
import oci
import provenance
import root
import sbom
from refusal import Refusal, refusing

LOCK = pathlib.Path(__file__).resolve().parent / "lock.json"


def main():
    options = arguments()
    work = options.output.resolve()
    work.mkdir(parents=True, exist_ok=True)
    commit = binary.git(binary.ROOT, "rev-parse", f"{options.revision}^{{commit}}")
    if options.revision == "HEAD" and binary.git(binary.ROOT, "status", "--porcelain", "Sources"):
        print("note: what is not committed under Sources is not in the image", file=sys.stderr)
    lock = archive.load(LOCK)
    if lock["architecture"] != "amd64":
        raise Refusal("image.architecture", "amd64", lock["architecture"], "use an amd64 lock")
    packages = archive.fetch(LOCK)
    program, materials = binary.build(lock, commit, work)
    entries = root.assemble(program, packages)
    (work / "ratel").write_bytes(program)  # For machines without containers.
    (work / "ratel").chmod(0o755)
    version = version_of(commit)
    digest, files = write(entries, lock, version, materials, work)
    print(f"files of the image, {sum(len(one.data or b'') for one in entries.values())} bytes:")
    print("\n".join(root.listing(entries)))
    for file in files:
        print(f"{file.stat().st_size:>10}  {file.name}  sha256:{sha256(file)}")
    print(f"image       localhost/ratel:{version}")
    print(f"digest      {digest}")


def write(entries, lock, version, materials, work):
    folder, image = work / "layout", work / f"ratel-{version}.oci.tar"
    shutil.rmtree(folder, ignore_errors=True)
    digest = oci.write(entries, lock, version, root.USER, folder, image)
    spdx = work / f"ratel-{version}.spdx.json"
    text = json.dumps(sbom.document(entries, lock, version, digest), indent=1, sort_keys=True)
    spdx.write_text(text + "\n")
    subjects = {
        f"localhost/ratel:{version}": digest.removeprefix("sha256:"), image.name: sha256(image),
        spdx.name: sha256(spdx), "usr/bin/ratel": sha256(entries["usr/bin/ratel"].data)}
    made = work / f"ratel-{version}.intoto.json"
    statement = provenance.statement(subjects, LOCK, lock, materials)
    made.write_text(json.dumps(statement, indent=1, sort_keys=True) + "\n")
    (work / "digest").write_text(digest + "\n")
    return digest, [image, spdx, made]


def version_of(commit):
    path = "Sources/Ratel/Channel/EffectiveConfiguration.swift"
    text = binary.git(binary.ROOT, "show", f"{commit}:{path}")
    found = re.search(r'static let current = "([0-9.]+)"', text)
    if not found:
        raise Refusal("image.version", f"a version in {path}", "none", "look there")
    return found[1]


def sha256(data):
    return hashlib.sha256(data if isinstance(data, bytes) else data.read_bytes()).hexdigest()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, default=binary.ROOT / ".build" / "image")
    parser.add_argument("--revision", default="HEAD", help="the commit that is built")
    return parser.parse_args()


if __name__ == "__main__":
    refusing(main)
