"""A made-up AMD: ARK, ASK, VCEK or VLEK, and attestation reports of SEV-SNP.

Layouts: SEV-SNP Firmware ABI (56860), table 23; VCEK Certificate and KDS Interface (57230).
"""

import struct
import uuid

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from .pki import Authority, der, der_integer, name, sign_raw

ARC = "1.3.6.1.4.1.3704.1."
GUIDS = {
    "vcek": "63da758d-e664-4564-adc5-f4b93be8accd", "vlek": "a8074bc2-a25a-483e-aae6-39c045a0b8a1",
    "ask": "4ab7b379-bbac-4fe4-a02f-05aef327c782", "ark": "c0b406a4-a803-4952-9743-3fb6014cd0ae",
    "crl": "92f81bc3-5811-4d3d-97ff-d19f88dc67ea",
}
# Bytes of TCB_VERSION: where each part lies, and its number in the certificate.
PARTS = {
    "Genoa": {"bootloader": (0, "3.1"), "tee": (1, "3.2"), "snp": (6, "3.3"),
              "microcode": (7, "3.8")},
    "Turin": {"fmc": (0, "3.9"), "bootloader": (1, "3.1"), "tee": (2, "3.2"), "snp": (3, "3.3"),
              "microcode": (7, "3.8")},
}
LEVELS = {
    "Genoa": {"bootloader": 10, "tee": 1, "snp": 23, "microcode": 84},
    "Turin": {"fmc": 1, "bootloader": 2, "tee": 3, "snp": 4, "microcode": 71},
}
CPUID = {"Genoa": (0x19, 0x11, 1), "Turin": (0x1A, 0x02, 1)}
CHIP = {"Genoa": bytes(range(64)), "Turin": bytes(range(1, 9))}
REPORT = {
    "measurement": b"\x41" * 48, "host_data": b"\x42" * 32, "id_key_digest": b"\x43" * 48,
    "author_key_digest": b"\x44" * 48, "guest_svn": 5, "vmpl": 0,
    # ABI 1.55, bit 17 must be one; no SMT, no debugging.
    "policy": 1 << 17 | 1 << 8 | 55,
    # ALIAS_CHECK_COMPLETE.
    "platform_info": 1 << 5, "build": 40, "committed_build": 40,
}


class AMD:
    """One PKI and the chip that it speaks for."""

    def __init__(self, product="Genoa", provider=None):
        self.product, self.provider = product, provider
        place = {
            "OU": "Engineering", "C": "US", "L": "Santa Clara", "ST": "CA",
            "O": "Advanced Micro Devices"}
        # AMD's have 4096 bits, which take seconds to find; nothing here depends on that.
        keys = [rsa.generate_private_key(65537, 2048) for _ in range(2)]
        sha = hashes.SHA384()
        kind = "VLEK" if provider else "VCEK"
        middle = f"SEV-VLEK-{product}" if provider else f"SEV-{product}"
        self.ark = Authority(name(f"ARK-{product}", **place), key=keys[0], digest=sha)
        self.ask = Authority(name(middle, **place), self.ark, key=keys[1], digest=sha)
        self.key = Authority(
            name(f"SEV-{kind}", **place), self.ask, ec.generate_private_key(ec.SECP384R1()),
            is_authority=False, extensions=self.extensions(), digest=sha)

    def extensions(self):
        def text(value):
            return der(0x16, value.encode())

        found = [(ARC + "1", der_integer(1)), (ARC + "2", text(self.product))]
        for part, (_, number) in PARTS[self.product].items():
            found.append((ARC + number, der_integer(LEVELS[self.product][part])))
        if self.provider:
            found.append((ARC + "5", text(self.provider)))
        else:
            found.append((ARC + "4", CHIP[self.product]))
        return found

    def tcb(self):
        raw = bytearray(8)
        for part, (place, _) in PARTS[self.product].items():
            raw[place] = LEVELS[self.product][part]
        return bytes(raw)

    def report(self, report_data, version=None, **fields):
        fields = REPORT | fields
        version = version or (5 if self.product == "Turin" else 3)
        raw = bytearray(0x4A0)

        def put(offset, content):
            raw[offset:offset + len(content)] = content

        put(0x00, struct.pack("<IIQ", version, fields["guest_svn"], fields["policy"]))
        put(0x30, struct.pack("<II", fields["vmpl"], 1))
        put(0x40, struct.pack("<Q", fields["platform_info"]))
        put(0x48, struct.pack("<I", 1 << 2 if self.provider else 0))
        put(0x50, report_data)
        put(0x90, fields["measurement"])
        put(0xC0, fields["host_data"])
        put(0xE0, fields["id_key_digest"])
        put(0x110, fields["author_key_digest"])
        for offset in (0x38, 0x180, 0x1E0, 0x1F0):
            put(offset, self.tcb())
        put(0x188, bytes(CPUID[self.product]))
        if not self.provider:
            put(0x1A0, CHIP[self.product])
        for offset, build in ((0x1E8, "build"), (0x1EC, "committed_build")):
            put(offset, bytes([fields[build], 55, 1]))
        signature = sign_raw(self.key.key, bytes(raw[:0x2A0]), hashes.SHA384())
        put(0x2A0, signature[:48][::-1])
        put(0x2E8, signature[48:][::-1])
        return bytes(raw)

    def files(self, revoked=()):
        return {
            "vlek" if self.provider else "vcek": self.key.der, "ask": self.ask.der,
            "ark": self.ark.der, "crl": self.ark.revocation_list(revoked)}

    def write(self, folder, revoked=()):
        """Certificates and list as files, for `--endorsements`."""
        for file, content in self.files(revoked).items():
            (folder / f"{file}.der").write_bytes(content)

    def table(self, revoked=()):
        """The same as the host hands it out, GHCB specification (56421)."""
        files = self.files(revoked)
        offset = 24 * (len(files) + 1)
        entries, contents = b"", b""
        for file, content in files.items():
            place = struct.pack("<II", offset + len(contents), len(content))
            entries += uuid.UUID(GUIDS[file]).bytes + place
            contents += content
        return entries + bytes(24) + contents
