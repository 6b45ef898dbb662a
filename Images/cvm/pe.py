"""PE images: sections read and added, and the hash by which firmware measures a program.

Microsoft PE format; Windows Authenticode Portable Executable Signature Format, 2008.
"""

import dataclasses
import hashlib
import struct


@dataclasses.dataclass
class Section:
    name: str
    size: int  # As it is used: what lies behind it in the file is padding.
    address: int
    stored: int
    offset: int


class Image:
    def __init__(self, data):
        self.data = bytearray(data)
        self.header = struct.unpack_from("<I", data, 0x3C)[0] + 4
        if data[:2] != b"MZ" or data[self.header - 4:self.header] != b"PE\0\0":
            raise ValueError("not a PE image")
        self.optional = self.header + 20
        if struct.unpack_from("<H", data, self.optional)[0] != 0x20B:
            raise ValueError("not a PE image of 64 bits")

    @property
    def count(self):
        return struct.unpack_from("<H", self.data, self.header + 2)[0]

    @property
    def table(self):
        return self.optional + struct.unpack_from("<H", self.data, self.header + 16)[0]

    def field(self, offset):
        """A field of 32 bits of the optional header."""
        return struct.unpack_from("<I", self.data, self.optional + offset)[0]

    def sections(self):
        found = []
        for number in range(self.count):
            name, size, address, stored, offset = struct.unpack_from(
                "<8sIIII", self.data, self.table + 40 * number)
            found.append(Section(name.rstrip(b"\0").decode(), size, address, stored, offset))
        return found

    def content(self, name):
        """What firmware and stub see of a section: as many bytes as it says it has."""
        one = next(one for one in self.sections() if one.name == name)
        return bytes(self.data[one.offset:one.offset + min(one.size, one.stored)])

    def add(self, name, content):
        """Appends a section of initialised, read-only data."""
        alignment, file_alignment = self.field(32), self.field(36)
        place = self.table + 40 * self.count
        first = min(one.offset for one in self.sections() if one.stored)
        if place + 40 > min(first, self.field(60)):
            raise ValueError(f"no room for the header of {name}")
        last = self.sections()[-1]
        address = up(last.address + last.size, alignment)
        self.data += bytes(-len(self.data) % file_alignment)
        offset, stored = len(self.data), up(len(content), file_alignment)
        struct.pack_into(
            "<8sIIIIIIHHI", self.data, place, name.encode(), len(content), address, stored, offset,
            0, 0, 0, 0, 0x40000040)
        self.data += content + bytes(stored - len(content))
        struct.pack_into("<H", self.data, self.header + 2, self.count + 1)
        self.set(8, self.field(8) + stored)  # SizeOfInitializedData
        self.set(56, up(address + len(content), alignment))  # SizeOfImage
        self.set(64, 0)  # CheckSum, which firmware does not look at

    def set(self, offset, value):
        struct.pack_into("<I", self.data, self.optional + offset, value)

    def authenticode(self, algorithm="sha256"):
        """Everything but the checksum, the certificate table's entry, and that table."""
        data, digest = bytes(self.data), hashlib.new(algorithm)
        checksum, entry, headers = self.optional + 64, self.optional + 144, self.field(60)
        digest.update(data[:checksum] + data[checksum + 4:entry] + data[entry + 8:headers])
        hashed = headers
        for one in sorted(self.sections(), key=lambda one: one.offset):
            if one.stored:
                digest.update(data[one.offset:one.offset + one.stored])
                hashed += one.stored
        table = struct.unpack_from("<I", data, entry + 4)[0]
        if len(data) > hashed + table:
            rest = data[hashed:len(data) - table]
            # EDK II pads to 8 bytes, as the signing tools do.
            digest.update(rest + bytes(-len(rest) % 8) if table else rest)
        return digest.digest()


def up(value, alignment):
    return -(-value // alignment) * alignment
