"""What is measured while the image boots, in order: computed from the files, not from a boot.

TCG PC Client Platform Firmware Profile 1.06, sections 3.3.4 and 10.4; UEFI Specification 2.10,
section 38.4.1, for the registers of TDX; systemd-stub(7) for PCR 11; Linux' EFI stub for PCR 9.
"""

import dataclasses
import hashlib
import struct
import uuid

import pe

SEPARATOR = bytes(4)
CALLING = b"Calling EFI Application from Boot Option"
LEAVING = [b"Exit Boot Services Invocation", b"Exit Boot Services Returned with Success"]
# The order of systemd-stub, whatever the order in the file: the sections that it measures.
STUB_SECTIONS = [".linux", ".cmdline", ".initrd", ".sbat"]
GLOBAL = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
SECURITY = "d719b2cb-3d3a-4596-a3bc-dad00e67656f"
SECTOR = 512


@dataclasses.dataclass(frozen=True)
class Event:
    """Extends a register; `digests` where what is hashed is not simply `data`."""

    pcr: int
    what: str
    data: bytes = b""
    digests: tuple = ()

    def digest(self, algorithm):
        found = dict(self.digests)
        return found.get(algorithm) or hashlib.new(algorithm, self.data).digest()


def boot(program, disk):
    """From the firmware's first word about the disk to the kernel's first own step."""
    image = pe.Image(program)
    kernel = pe.Image(image.content(".linux"))
    yield Event(4, "the firmware starts an application", CALLING)
    for pcr in range(7):
        yield Event(pcr, "separator", SEPARATOR)
    yield Event(5, "partition table", partition_table(disk))
    yield application("the unified program", image)
    for name in STUB_SECTIONS:
        yield Event(11, f"name of {name}", name.encode() + b"\0")
        yield Event(11, name, image.content(name))
    yield application("the kernel in it", kernel)
    line = image.content(".cmdline").decode() + "\0"
    yield Event(9, "command line, as the kernel got it", line.encode("utf-16-le"))
    yield Event(9, "initial file system, as the kernel got it", image.content(".initrd"))
    for text in LEAVING:
        yield Event(5, text.decode(), text)


def application(what, image):
    return Event(4, what, digests=tuple(
        (name, image.authenticode(name)) for name in ("sha256", "sha384")))


def partition_table(disk):
    """UEFI_GPT_DATA: the header, the number of partitions, and their entries."""
    with open(disk, "rb") as file:
        file.seek(SECTOR)
        header = file.read(92)
        first, number, size = struct.unpack_from("<QII", header, 72)
        file.seek(first * SECTOR)
        entries = [file.read(size) for _ in range(number)]
    used = [one for one in entries if one[:16] != bytes(16)]
    return header + struct.pack("<Q", len(used)) + b"".join(used)


def secure_boot():
    """Of a machine that enforces none: the variables are empty (section 3.3.4.8)."""
    names = [
        ("SecureBoot", GLOBAL), ("PK", GLOBAL), ("KEK", GLOBAL), ("db", SECURITY),
        ("dbx", SECURITY)]
    for name, owner in names:
        yield Event(7, f"variable {name}", variable(name, owner))
    yield Event(7, "separator", SEPARATOR)


def variable(name, owner, data=b""):
    text = name.encode("utf-16-le")
    head = uuid.UUID(owner).bytes_le + struct.pack("<QQ", len(name), len(data))
    return head + text + data


def extend(events, algorithm):
    value = bytes(hashlib.new(algorithm).digest_size)
    for event in events:
        value = hashlib.new(algorithm, value + event.digest(algorithm)).digest()
    return value.hex()
