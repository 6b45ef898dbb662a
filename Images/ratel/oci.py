"""Writes an image of one layer by the OCI image specification 1.1: a folder, and a tar of it.

The builders that exist write an image whose digest follows their version and that of their
compressor; here it follows from the entries, and from GNU gzip, whose output has not changed from
one Debian to the next (the test of the image holds it to what Debian 12's gave).
"""

import datetime
import hashlib
import io
import json
import subprocess
import tarfile

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def write(entries, lock, version, user, folder, archive):
    """Answers the digest of the manifest, by which registries know the image."""
    layer = entries.tar(lock["source_date_epoch"])
    packed = subprocess.run(["gzip", "-9", "-n"], input=layer, check=True, capture_output=True)
    created = datetime.datetime.fromtimestamp(lock["source_date_epoch"], datetime.UTC)
    config = encode(configuration(lock, version, user, layer, f"{created:%Y-%m-%dT%H:%M:%SZ}"))
    manifest = encode({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": descriptor(CONFIG, config),
        "layers": [descriptor(LAYER, packed.stdout)]})
    name = {"org.opencontainers.image.ref.name": f"localhost/ratel:{version}"}
    index = encode({
        "schemaVersion": 2, "mediaType": INDEX,
        "manifests": [{**descriptor(MANIFEST, manifest), "annotations": name}]})
    files = {"oci-layout": encode({"imageLayoutVersion": "1.0.0"}), "index.json": index}
    for blob in (packed.stdout, config, manifest):
        files[f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}"] = blob
    store(files, folder, archive, lock["source_date_epoch"])
    return f"sha256:{hashlib.sha256(manifest).hexdigest()}"


def configuration(lock, version, user, layer, created):
    labels = {
        "org.opencontainers.image.title": "ratel",
        "org.opencontainers.image.description": "Sidecar proxy for confidential inference",
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.base.name": "debian:trixie, without its programs"}
    return {
        "created": created, "architecture": lock["architecture"], "os": "linux",
        "config": {
            "User": f"{user}:{user}", "Env": ["PATH=/usr/bin"], "Entrypoint": ["/usr/bin/ratel"],
            "Cmd": ["--help"], "WorkingDir": "/", "Labels": labels, "StopSignal": "SIGTERM",
            "ExposedPorts": {"8443/tcp": {}}},
        "rootfs": {
            "type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        "history": [{"created": created, "created_by": "Images/ratel/build.py"}]}


def descriptor(kind, data):
    digest = hashlib.sha256(data).hexdigest()
    return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}


def encode(value):
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def store(files, folder, archive, epoch):
    for path, data in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    with tarfile.open(archive, "w", format=tarfile.USTAR_FORMAT) as output:
        for path in sorted(files):
            member = tarfile.TarInfo(path)
            member.size, member.mtime, member.mode = len(files[path]), epoch, 0o644
            output.addfile(member, io.BytesIO(files[path]))
