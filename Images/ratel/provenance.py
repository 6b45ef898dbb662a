"""How an image was made: an in-toto statement with SLSA's predicate, version 1.

It says nothing of who built it or when, so that whoever builds again gets the same statement; sign
it with what you sign with. `builder.id` is the recipe, since any machine may follow it.
"""

import hashlib


def statement(subjects, lock_path, lock, materials):
    """`subjects` is {name: SHA-256}; `materials` is what the binary was made of."""
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {"name": name, "digest": {"sha256": digest}}
            for name, digest in sorted(subjects.items())],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "https://ratel.dev/images/v1",
                "externalParameters": {"commit": materials["commit"], "target": "make image"},
                "internalParameters": {
                    "source_date_epoch": lock["source_date_epoch"],
                    "archive": lock["archive"], "headers": materials["headers"]},
                "resolvedDependencies": dependencies(lock_path, lock, materials)},
            "runDetails": {"builder": {
                "id": "https://ratel.dev/images/ratel/build.py",
                "version": {"swift": materials["toolchain"]["version"]}}}}}


def dependencies(lock_path, lock, materials):
    found = [
        {"name": "ratel", "uri": "git+https://ratel.dev/ratel",
         "digest": {"gitCommit": materials["commit"]}},
        {"name": "lock.json", "digest": {"sha256": digest(lock_path.read_bytes())}},
        {"name": "swift-frontend", "uri": "https://www.swift.org/install/",
         "digest": {"sha256": materials["toolchain"]["swift-frontend"]}}]
    for one in materials["dependencies"]:
        found.append({
            "name": one["identity"], "uri": f"git+{one['url']}@{one['version']}",
            "digest": {"gitCommit": one["revision"], "sha256": one["sha256"]}})
    for one in lock["packages"]:
        found.append({
            "name": one["name"], "uri": f"http://deb.debian.org/{one['archive']}/{one['path']}",
            "digest": {"sha256": one["sha256"]}})
    return found


def digest(data):
    return hashlib.sha256(data).hexdigest()
