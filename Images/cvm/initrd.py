"""The initial file system: a shell, veritysetup, the drivers, and the script that uses them."""

import lzma
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tools"), str(HERE.parent / "ratel")]
import root
from entries import Entries, Package
from refusal import Refusal

# Disks and networks of qemu, AWS (NVMe is in the kernel), Google and Azure; what makes a root out
# of a disk; and what makes Evidence, where the machine can.
MODULES = [
    "virtio_blk", "virtio_scsi", "sd_mod", "hv_storvsc", "virtio_net", "ena", "gve", "hv_netvsc",
    "dm-verity", "squashfs", "tsm", "sev-guest", "tdx-guest"]


def build(packages):
    """`packages` are the files of the lock's packages by name. Answers the archive."""
    opened = {name: Package(file) for name, file in sorted(packages.items())}
    entries = Entries()
    for place in ("dev", "proc", "run", "sys", "system"):
        entries.folder(place)
    busybox = opened["busybox-static"].read("usr/bin/busybox")
    entries.file("bin/busybox", busybox, 0o755, "busybox-static")
    verity = opened["cryptsetup-bin"].read("usr/sbin/veritysetup")
    entries.file("sbin/veritysetup", verity, 0o755, "cryptsetup-bin")
    root.add_libraries(entries, opened, [("sbin/veritysetup", verity)], [])
    entries.link("lib64", "usr/lib/x86_64-linux-gnu", "libc6")
    entries.file("init", (HERE / "init").read_bytes(), 0o755)
    kernel = next(one for name, one in opened.items() if name.startswith("linux-image-6"))
    add_modules(entries, kernel)
    return archive(entries)


def add_modules(entries, kernel):
    """The drivers, unpacked, and the list by which the script loads them, each after its own."""
    stored = {
        canonical(pathlib.PurePath(path).name.split(".ko")[0]): path
        for path in kernel.members if path.endswith(".ko.xz")}
    order = []

    def visit(name):
        name = canonical(name)
        if name in order:
            return
        if name not in stored:
            raise Refusal(
                "cvm.module.missing", f"{name} among the kernel's modules", "absent",
                "it may be built in: remove it from MODULES")
        data = lzma.decompress(kernel.read(stored[name]))
        named = re.search(rb"\0?depends=([^\0]*)\0", data)
        for other in (named[1].decode().split(",") if named and named[1] else []):
            visit(other)
        order.append(name)
        entries.file(f"modules/{name}.ko", data, origin="linux-image")

    for name in MODULES:
        visit(name)
    entries.file("modules/order", "".join(f"{name}\n" for name in order).encode())


def canonical(name):
    return name.replace("-", "_")


def archive(entries):
    """A cpio archive of the form newc, uncompressed: no compressor's version is in its bytes."""
    output = bytearray()
    for number, path in enumerate(sorted(entries), 1):
        entry = entries[path]
        kind = 0o120000 if entry.link is not None else 0o040000 if entry.is_folder else 0o100000
        data = entry.link.encode() if entry.link is not None else entry.data or b""
        output += member(number, kind | entry.mode, path, data)
    return bytes(output + member(0, 0, "TRAILER!!!", b""))


def member(number, mode, path, data):
    name = path.encode() + b"\0"
    # magic, inode, mode, owner, group, links, time, size, device and its device, name's length, sum
    fields = [number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0]
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)
