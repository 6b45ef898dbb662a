"""The disk: a partition table, the firmware's partition with one program, the root, its hashes.

Every identifier that tools draw at random is derived from what it stands for.
"""

import hashlib
import json
import os
import re
import subprocess
import uuid

import pe

SECTOR = 512
MIB = 1 << 20
# FAT32 has at least 65,525 clusters (Microsoft's specification), so 33 MiB; the kernel and its
# initial file system have 30, and firmware reads no other partition.
FIRMWARE_SIZE = 64 * MIB
TYPES = {  # UEFI Specification, and the Discoverable Partitions Specification for x86-64
    "ratel-boot": "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
    "ratel-root": "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709",
    "ratel-verity": "2C7357ED-EBD2-46D9-AEC1-23D437EC2BF5"}


def squash(entries, epoch, place):
    """Not compressed: no compressor's version is in the bytes, and the machine unpacks nothing."""
    options = ["-noI", "-noD", "-noF", "-noX", "-no-xattrs", "-processors", "1", "-no-progress"]
    place.unlink(missing_ok=True)
    words = ["sqfstar", *options, "-mkfs-time", str(epoch), "-all-time", str(epoch), place]
    subprocess.run(
        words, input=entries.tar(epoch), check=True, stdout=subprocess.DEVNULL,
        # sqfstar takes the time from one place only.
        env={name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"})


def verity(data, tree):
    """The hashes of the root's blocks, and the one hash over all of them."""
    tree.unlink(missing_ok=True)
    content = hashlib.sha256(data.read_bytes()).hexdigest()
    words = [
        "veritysetup", "format", data, tree, "--hash", "sha256", "--data-block-size", "4096",
        # A salt guards against prepared collisions; this one nobody can choose freely.
        "--hash-block-size", "4096", "--salt", content, "--uuid", str(identity(content))]
    shown = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    return re.search(r"^Root hash:\s+([0-9a-f]{64})$", shown, re.MULTILINE)[1]


def unify(stub, kernel, initrd, command_line):
    """One program for the firmware: systemd's stub, with what it starts as sections.

    No `.osrel`: the stub would put it into a second initial file system, and PCR 9 would follow
    from how it does that.
    """
    image = pe.Image(stub)
    image.add(".cmdline", command_line.encode())
    image.add(".linux", kernel)
    image.add(".initrd", initrd)
    return bytes(image.data)


def assemble(program, data, tree, epoch, place):
    """Writes the disk; firmware starts the program as a removable medium's (UEFI 2.10, 3.5.1.1)."""
    boot = place.with_suffix(".esp")
    boot.unlink(missing_ok=True)
    os.truncate(os.open(boot, os.O_CREAT | os.O_WRONLY, 0o644), FIRMWARE_SIZE)
    name = identity(hashlib.sha256(program).hexdigest())
    tools = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch), "MTOOLS_SKIP_CHECK": "1", "TZ": "UTC0"}
    subprocess.run(
        ["mkfs.fat", "-F", "32", "--invariant", "-i", f"{name.int & 0xFFFFFFFF:08x}", "-n", "RATEL",
         boot], check=True, capture_output=True, env=tools)
    file = place.with_suffix(".efi")
    file.write_bytes(program)
    os.utime(file, (epoch, epoch))
    subprocess.run(["mmd", "-i", boot, "::/EFI", "::/EFI/BOOT"], check=True, env=tools)
    words = ["mcopy", "-m", "-i", boot, file, "::/EFI/BOOT/BOOTX64.EFI"]
    subprocess.run(words, check=True, env=tools)
    parts = {"ratel-boot": boot, "ratel-root": data, "ratel-verity": tree}
    partition(parts, name, place)
    boot.unlink()


def partition(parts, name, place):
    start, lines = MIB, ["label: gpt", f"label-id: {name}"]
    for part, file in parts.items():
        size = -(-file.stat().st_size // MIB) * MIB
        own = uuid.uuid5(name, part)
        lines.append(
            f"start={start // SECTOR}, size={size // SECTOR}, type={TYPES[part]}, uuid={own}, "
            f'name="{part}"')
        start += size
    place.unlink(missing_ok=True)
    with open(place, "wb") as disk:
        disk.truncate(start + MIB)  # The second partition table lies behind.
    subprocess.run(
        ["sfdisk", "--quiet", "--no-tell-kernel", place], input="\n".join(lines), text=True,
        check=True)
    table = subprocess.run(["sfdisk", "--json", place], check=True, capture_output=True).stdout
    with open(place, "r+b") as disk:
        for one in json.loads(table)["partitiontable"]["partitions"]:
            disk.seek(one["start"] * SECTOR)
            disk.write(parts[one["name"]].read_bytes())


def identity(text):
    return uuid.uuid5(uuid.NAMESPACE_URL, f"https://ratel.dev/images/{text}")
