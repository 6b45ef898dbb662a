"""The image's files: nothing that could be run beside Ratel, nothing that is not listed."""

import dataclasses
import hashlib
import io
import json
import subprocess
import tarfile
import tempfile

from support import BUILT, image, one, sbom

import scan


@dataclasses.dataclass
class Doctored:
    """What somebody adds to the image, and what the scan has to say of it."""

    says: str
    path: str = "usr/share/extra"
    data: bytes = b"x"
    mode: int = 0o644
    owner: int = 0
    kind: bytes = tarfile.REGTYPE
    headers: dict = dataclasses.field(default_factory=dict)
    listed: bool = True


CASES = [
    Doctored("set-user-id", mode=0o4755),
    Doctored("set-user-id or set-group-id", mode=0o2755),
    Doctored("others than its owner may write", mode=0o666),
    Doctored("others than its owner may write", path="tmp2", mode=0o1777, kind=tarfile.DIRTYPE),
    Doctored("owned by 1000:1000", owner=1000),
    Doctored("extended attributes", headers={"SCHILY.xattr.security.capability": "x"}),
    Doctored("neither a file", kind=tarfile.CHRTYPE),
    Doctored("a program", mode=0o755),
    Doctored("a script", data=b"#!/usr/bin/true\n"),
    Doctored("a shell", path="usr/lib/busybox"),
    Doctored("a shell", path="usr/bin/sh", kind=tarfile.SYMTYPE, listed=False),
    Doctored("an interpreter", path="usr/bin/python3.13"),
    Doctored("a package manager", path="usr/bin/dpkg"),
    Doctored("not in the SBOM", listed=False),
]


def test_the_image_is_clean():
    data, config = scan.layer(image())
    findings = scan.scan(data, scan.files_of(sbom()))
    assert findings == [], findings
    assert config["config"]["User"] == "65532:65532" and config["config"]["Entrypoint"]


def test_each_check_can_fail():
    data, _ = scan.layer(image())
    for case in CASES:
        listed = dict(scan.files_of(sbom()))
        if case.listed:
            listed[case.path] = hashlib.sha256(case.data).hexdigest()
        findings = [one for one in scan.scan(add(data, case), listed) if case.path in one]
        assert any(case.says in one for one in findings), (case, findings)


def test_a_changed_or_absent_file_is_found():
    data, _ = scan.layer(image())
    listed = scan.files_of(sbom())
    changed = {**listed, "usr/bin/ratel": "0" * 64, "usr/bin/other": "0" * 64}
    assert scan.scan(data, changed) == [
        "usr/bin/ratel: not as the SBOM says", "usr/bin/other: in the SBOM, not in the image"]


def test_a_changed_blob_is_found():
    changed = bytearray(image().read_bytes())
    changed[changed.index(b"\x1f\x8b") + 5000] ^= 1
    with tempfile.NamedTemporaryFile() as file:
        file.write(changed)
        file.flush()
        try:
            scan.layer(file.name)
        except ValueError as error:
            assert "the blob is" in str(error), error
        else:
            raise AssertionError("a changed layer was read")


def test_the_papers_fit_the_image():
    statement = json.loads(one(BUILT.glob("*.intoto.json")).read_text())
    subjects = {entry["name"]: entry["digest"]["sha256"] for entry in statement["subject"]}
    assert subjects[image().name] == hashlib.sha256(image().read_bytes()).hexdigest()
    digest = (BUILT / "digest").read_text().strip().removeprefix("sha256:")
    assert digest in subjects.values() and sbom()["documentNamespace"].endswith(digest)
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"


def test_the_sbom_is_spdx():
    from spdx_tools.spdx.parser.parse_anything import parse_file
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

    document = parse_file(str(one(BUILT.glob("*.spdx.json"))))
    messages = [message.validation_message for message in validate_full_spdx_document(document)]
    assert messages == [], messages[:5]


def test_gzip_packs_as_it_did():
    """If this fails, the digest of an image depends on the machine: see `oci`."""
    text = "".join(f"{number}\n" for number in range(1, 100001)).encode()
    packed = subprocess.run(["gzip", "-9", "-n"], input=text, capture_output=True).stdout
    assert hashlib.sha256(packed).hexdigest() == (
        "eedd2071b7778810f7ec5ce0fac0bd585c727da96d7cc231ec6c7c8f19dff406")


def add(data, case):
    output = io.BytesIO(data)
    with tarfile.open(fileobj=output, mode="a", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo(case.path)
        member.mode, member.type, member.pax_headers = case.mode, case.kind, case.headers
        member.uid = member.gid = case.owner
        member.linkname = "busybox" if case.kind == tarfile.SYMTYPE else ""
        member.size = len(case.data) if case.kind == tarfile.REGTYPE else 0
        archive.addfile(member, io.BytesIO(case.data))
    return output.getvalue()


