"""What OVMF measures of itself, and what TDX and SEV-SNP measure of it before it runs."""

import hashlib
import lzma
import struct
import uuid

from events import Event
from refusal import Refusal

LZMA = uuid.UUID("ee4e5898-3914-4259-9d6e-dc7bd79403cf").bytes_le
TABLE = uuid.UUID("96b582de-1fb2-45f7-baea-a366c55a082d")
TDX = uuid.UUID("e47a6535-984a-4798-865e-4685a7bf8ec2")
PAGE, CHUNK = 4096, 256
# TDX Virtual Firmware Design Guide, section 11.2: what a section is, and what is done with it.
PERMANENT, EXTEND = 3, 1
VOLUME_SECTION = 0x17


def own_events(code, version):
    """PCR 0: the version, then the volumes for the phases PEI and DXE as they lie in memory."""
    yield Event(0, "firmware version", (version + "\0").encode("utf-16-le"))
    for volume in volumes(code):
        yield Event(0, f"firmware volume of {len(volume)} bytes", volume)


def volumes(code):
    """The volumes inside the compressed one (PI Specification 1.7, volume 3, section 3.2.5)."""
    place = code.find(LZMA)
    if place < 4:
        raise Refusal(
            "cvm.firmware.form", "OVMF, with a volume packed by LZMA", "none",
            "name a build of OVMF, or leave PCR 0 to `any`")
    offset = struct.unpack_from("<H", code, place + 16)[0]
    unpacked = lzma.LZMADecompressor(lzma.FORMAT_ALONE).decompress(code[place - 4 + offset:])
    position = 0
    while position + 4 <= len(unpacked):
        size = int.from_bytes(unpacked[position:position + 3], "little")
        if size < 4:
            return
        if unpacked[position + 3] == VOLUME_SECTION:
            header = 8 if size == 0xFFFFFF else 4
            size = struct.unpack_from("<I", unpacked, position + 4)[0] if header == 8 else size
            yield unpacked[position + header:position + size]
        position += -(-size // 4) * 4


def guided(image):
    """The table at the end of OVMF: {GUID: data}, read from its end backwards."""
    end = len(image) - 0x20
    if uuid.UUID(bytes_le=image[end - 16:end]) != TABLE:
        return {}
    rest = struct.unpack_from("<H", image, end - 18)[0] - 18
    position, found = end - 18, {}
    while rest >= 18:
        size = struct.unpack_from("<H", image, position - 18)[0]
        if not 18 <= size <= rest:
            raise Refusal(
                "cvm.firmware.table", "entries that fit", f"one of {size} bytes", "name an OVMF")
        name = uuid.UUID(bytes_le=image[position - 16:position])
        found[name] = image[position - size:position - 18]
        position, rest = position - size, rest - size
    return found


def td_sections(image):
    """TDVF's metadata: offset and size in the file, address and size in memory, kind, flags."""
    table = guided(image)
    if TDX not in table:
        return None
    place = len(image) - struct.unpack("<I", table[TDX])[0]
    signature, _, version, count = struct.unpack_from("<4sIII", image, place)
    if (signature, version) != (b"TDVF", 1):
        raise Refusal(
            "cvm.firmware.tdvf", "TDVF metadata, version 1", f"{signature!r}, {version}",
            "name a firmware for TDX")
    return [struct.unpack_from("<IIQQII", image, place + 16 + 32 * at) for at in range(count)]


def mrtd(image):
    """SHA-384 over TDH.MEM.PAGE.ADD and TDH.MR.EXTEND (TDX Module ABI), page after page, as KVM's
    KVM_TDX_INIT_MEM_REGION does it. None where the firmware is not for TDX."""
    sections = td_sections(image)
    if sections is None:
        return None
    digest = hashlib.sha384()
    for offset, stored, address, size, kind, flags in sections:
        if kind == PERMANENT:
            continue  # Added by the guest, when it accepts its memory.
        content = image[offset:offset + stored] if stored else b""
        content += bytes(size - len(content))
        for at in range(0, size, PAGE):
            digest.update(b"MEM.PAGE.ADD".ljust(16, b"\0") + struct.pack("<Q", address + at)
                          + bytes(104))
            if not flags & EXTEND:
                continue
            for chunk in range(at, at + PAGE, CHUNK):
                digest.update(b"MR.EXTEND".ljust(16, b"\0") + struct.pack("<Q", address + chunk)
                              + bytes(104) + content[chunk:chunk + CHUNK])
    return digest.hexdigest()
