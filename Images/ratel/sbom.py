"""The list of what is in an image, as SPDX 2.3 in JSON: packages, files, licences, checksums."""

import datetime
import hashlib
import re
import urllib.parse

TOOL = "Tool: ratel-images"


def document(entries, lock, version, image):
    """`image` is the digest of the image that the document describes."""
    created = datetime.datetime.fromtimestamp(lock["source_date_epoch"], datetime.UTC)
    packages, licences = [ratel(version)], []
    for one in lock["packages"]:
        text = licence_of(entries, one["name"])
        reference = f"LicenseRef-Debian-{identifier(one['name'])}"
        packages.append(debian(one, reference))
        licences.append({
            "licenseId": reference, "name": f"/usr/share/doc/{one['name']}/copyright",
            "extractedText": text})
    packages += [swift(one) for one in lock["dependencies"]] + [toolchain(lock)]
    files = [
        file(path, entry) for path, entry in sorted(entries.items()) if entry.data is not None]
    return {
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"ratel-{version}",
        "documentNamespace": f"https://ratel.dev/spdx/{image.removeprefix('sha256:')}",
        "creationInfo": {"created": f"{created:%Y-%m-%dT%H:%M:%SZ}", "creators": [TOOL]},
        "documentDescribes": ["SPDXRef-ratel"], "packages": packages, "files": files,
        "hasExtractedLicensingInfos": licences, "relationships": relationships(entries, lock)}


def ratel(version):
    return {
        "SPDXID": "SPDXRef-ratel", "name": "ratel", "versionInfo": version,
        "downloadLocation": "NOASSERTION", "filesAnalyzed": False, "licenseConcluded": "Apache-2.0",
        "licenseDeclared": "Apache-2.0", "copyrightText": "NOASSERTION",
        "primaryPackagePurpose": "APPLICATION"}


def debian(one, reference):
    version = urllib.parse.quote(one["version"], safe="")
    place = f"pkg:deb/debian/{one['name']}@{version}?arch={one['architecture']}&distro=trixie"
    source = one["source"]
    return {
        "SPDXID": package_id(one["name"]), "name": one["name"], "versionInfo": one["version"],
        "supplier": "Organization: Debian",
        "downloadLocation": f"http://deb.debian.org/{one['archive']}/{one['path']}",
        "sourceInfo": f"built from {source['name']} {source['version']}",
        "checksums": [{"algorithm": "SHA256", "checksumValue": one["sha256"]}],
        "filesAnalyzed": False, "licenseConcluded": "NOASSERTION", "licenseDeclared": reference,
        "copyrightText": "NOASSERTION",
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
            "referenceLocator": place}]}


def swift(one):
    place = one["url"].removeprefix("https://")
    return {
        "SPDXID": package_id(one["identity"]), "name": one["identity"],
        "versionInfo": one["version"],
        "downloadLocation": f"git+{one['url']}@{one['revision']}",
        "checksums": [{"algorithm": "SHA256", "checksumValue": one["sha256"]}],
        "comment": "The checksum is of `git archive --format=tar` of the revision.",
        "filesAnalyzed": False, "licenseConcluded": "NOASSERTION",
        "licenseDeclared": one["licence"], "copyrightText": "NOASSERTION",
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
            "referenceLocator": f"pkg:swift/{place}@{one['version']}"}]}


def toolchain(lock):
    return {
        "SPDXID": "SPDXRef-swift", "name": "swift", "versionInfo": lock["swift"],
        "downloadLocation": "https://www.swift.org/install/", "filesAnalyzed": False,
        "comment": "Its standard library and Foundation, with ICU's data, are linked statically.",
        "licenseConcluded": "NOASSERTION", "copyrightText": "NOASSERTION",
        "licenseDeclared": "Apache-2.0 WITH Swift-exception"}


def file(path, entry):
    # SPDX 2.3, section 8.4, demands SHA-1 beside what is worth checking.
    sums = [
        {"algorithm": name, "checksumValue": hashlib.new(name, entry.data).hexdigest()}
        for name in ("SHA1", "SHA256")]
    return {
        "SPDXID": file_id(path), "fileName": f"./{path}", "checksums": sums,
        "licenseConcluded": "NOASSERTION", "licenseInfoInFiles": ["NOASSERTION"],
        "copyrightText": "NOASSERTION"}


def relationships(entries, lock):
    found = [relation("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-ratel")]
    found += [
        relation("SPDXRef-ratel", "DEPENDS_ON", package_id(one["name"]))
        for one in lock["packages"]]
    found += [
        relation("SPDXRef-ratel", "STATIC_LINK", package_id(one["identity"]))
        for one in lock["dependencies"]]
    found.append(relation("SPDXRef-ratel", "STATIC_LINK", "SPDXRef-swift"))
    for path, entry in sorted(entries.items()):
        if entry.data is not None:
            kind = "GENERATED_FROM" if entry.origin == "ratel" else "EXPANDED_FROM_ARCHIVE"
            found.append(relation(file_id(path), kind, package_id(entry.origin)))
    return found


def relation(one, kind, other):
    return {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}


def licence_of(entries, name):
    folder = f"usr/share/doc/{name}"
    entry = entries.get(folder)
    if entry is not None and entry.link is not None:
        folder = f"usr/share/doc/{entry.link}"
    shared = {one.origin: path for path, one in entries.items() if path.endswith("/copyright")}
    path = f"{folder}/copyright"
    return entries[path if path in entries else shared[name]].data.decode()


def package_id(name):
    return "SPDXRef-ratel" if name == "ratel" else f"SPDXRef-package-{identifier(name)}"


def file_id(path):
    # Distinct paths may be alike once their odd characters are gone.
    return f"SPDXRef-file-{hashlib.sha256(path.encode()).hexdigest()[:16]}"


def identifier(name):
    return re.sub(r"[^A-Za-z0-9.-]", lambda match: f"-{ord(match[0]):02x}-", name)
