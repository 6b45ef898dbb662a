"""The files of an image, in memory: every one has a mode, a content and a package it is from.

Owner, times and order are the same for all, so that the archive follows from the entries alone.
"""

import dataclasses
import io
import subprocess
import tarfile


@dataclasses.dataclass(frozen=True)
class Entry:
    """A folder, a file or a symbolic link; `origin` is a package, or `ratel`."""

    mode: int
    data: bytes | None = None
    link: str | None = None
    origin: str = "ratel"

    @property
    def is_folder(self):
        return self.data is None and self.link is None


class Entries(dict):
    """{path without a leading slash: Entry}; folders above a path come by themselves."""

    def folder(self, path, mode=0o755):
        self.add(path, Entry(mode))

    def file(self, path, data, mode=0o644, origin="ratel"):
        self.add(path, Entry(mode, data=data, origin=origin))

    def link(self, path, target, origin="ratel"):
        self.add(path, Entry(0o777, link=target, origin=origin))

    def add(self, path, entry):
        parts = path.split("/")
        for count in range(1, len(parts)):
            above = "/".join(parts[:count])
            if not self.setdefault(above, Entry(0o755)).is_folder:
                raise ValueError(f"{path}: {above} is no folder")
        if self.get(path, entry).is_folder or path not in self:
            self[path] = entry
        elif self[path] != entry:
            raise ValueError(f"{path} comes from {self[path].origin} and from {entry.origin}")

    def replace(self, path, text):
        self[path] = dataclasses.replace(self[path], data=text.encode())

    def tar(self, epoch):
        output = io.BytesIO()
        with tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for path in sorted(self):
                entry = self[path]
                member = tarfile.TarInfo(path)
                member.mode, member.mtime = entry.mode, epoch
                if entry.link is not None:
                    member.type, member.linkname = tarfile.SYMTYPE, entry.link
                elif entry.is_folder:
                    member.type = tarfile.DIRTYPE
                else:
                    member.size = len(entry.data)
                archive.addfile(member, io.BytesIO(entry.data or b""))
        return output.getvalue()


class Package:
    """A .deb that was opened: its files by path, and the fields of its control file."""

    def __init__(self, file):
        words = ["dpkg-deb", "--fsys-tarfile", str(file)]
        listing = subprocess.run(words, check=True, capture_output=True).stdout
        self.archive = tarfile.open(fileobj=io.BytesIO(listing))
        self.members = {one.name.removeprefix("./"): one for one in self.archive if one.name}
        self.control = subprocess.run(
            ["dpkg-deb", "--field", str(file)], check=True, capture_output=True, text=True).stdout

    def read(self, path):
        return self.archive.extractfile(self.members[path]).read()

    def files(self, under):
        return sorted(
            path for path, one in self.members.items() if one.isfile() and path.startswith(under))
