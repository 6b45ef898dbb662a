"""Builds the image of a measured machine into a folder, with what a client will see of it.

    build.py [--output .build/cvm] [--revision HEAD] [--backend FOLDER] [--callers POLICY]
             [--ek-roots PEM] [--firmware FILE] [--vcpus 1]

Needs no root. Writes the disk, the program that firmware starts, the list of measurements, and the
policy that admits exactly this image.
"""

import argparse
import hashlib
import json
import pathlib
import shutil
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tools"), str(HERE.parent / "ratel")]
import archive
import binary
import disk
import initrd
import measurements
import tree
from entries import Package
from refusal import refusing

# `panic=-1` starts the machine anew at once where qemu does not stop it; the console is the first
# serial line of every cloud. The root is named by the hash over all its blocks.
COMMAND_LINE = "console=ttyS0 panic=-1 loglevel=4 roothash={hash}"


def main():
    options = arguments()
    work = options.output.resolve()
    work.mkdir(parents=True, exist_ok=True)
    lock, own = archive.load(HERE.parent / "ratel/lock.json"), archive.load(HERE / "lock.json")
    packages = archive.fetch(HERE.parent / "ratel/lock.json")
    machine = archive.fetch(HERE / "lock.json")
    commit = binary.git(binary.ROOT, "rev-parse", f"{options.revision}^{{commit}}")
    # One place for the binary of both images: it is the same.
    program, _ = binary.build(lock, commit, binary.ROOT / ".build" / "image")
    entries = tree.build(program, packages, machine, options.backend, options.callers)
    built = assemble(entries, machine, own["source_date_epoch"], work)
    firmware = firmware_of(options, machine, work)
    measurements.write(built, firmware, options.vcpus, work)
    if options.ek_roots:
        shutil.copy(options.ek_roots, work / "ek-roots.pem")
    report(work)


def assemble(entries, machine, epoch, work):
    data, hashes, place = work / "root.squashfs", work / "root.verity", work / "ratel.img"
    disk.squash(entries, epoch, data)
    program = program_of(machine, disk.verity(data, hashes))
    disk.assemble(program, data, hashes, epoch, place)
    return place


def program_of(machine, root_hash):
    """What firmware starts: everything before the root, and the root by its hash."""
    kernel = next(
        Package(file) for name, file in machine.items() if name.startswith("linux-image-6"))
    release = next(path for path in kernel.members if path.startswith("boot/vmlinuz-"))
    stub = Package(machine["systemd-boot-efi"]).read(
        "usr/lib/systemd/boot/efi/linuxx64.efi.stub")
    return disk.unify(
        stub, kernel.read(release), initrd.build(machine), COMMAND_LINE.format(hash=root_hash))


def firmware_of(options, machine, work):
    """Debian's, by the lock: for a TPM in two files, with a fresh machine's variables; for TDX and
    SEV-SNP in one, unless another is named."""
    package = Package(machine["ovmf"])
    (work / "firmware.fd").write_bytes(package.read("usr/share/OVMF/OVMF_CODE_4M.fd"))
    (work / "firmware-variables.fd").write_bytes(package.read("usr/share/OVMF/OVMF_VARS_4M.fd"))
    whole = work / "firmware-confidential.fd"
    named = options.firmware
    whole.write_bytes(named.read_bytes() if named else package.read("usr/share/ovmf/OVMF.fd"))
    return whole


def report(work):
    for name in ("ratel.img", "ratel.efi", "measurements.json", "policy.yaml", "firmware.fd"):
        file = work / name
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        print(f"{file.stat().st_size:>10}  {name}  sha256:{digest}")
    for name, value in json.loads((work / "measurements.json").read_text())["tpm"].items():
        print(f"PCR {name:>2}  {value['sha256'] or 'any':64}  {value['covers']}")
    if not (work / "ek-roots.pem").exists():
        print("policy.yaml names ek-roots.pem: put there the PEM of who certified your TPMs")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--output", type=pathlib.Path, default=binary.ROOT / ".build" / "cvm")
    add("--revision", default="HEAD", help="the commit that is built")
    add("--backend", type=pathlib.Path, default=HERE / "backend", help="goes to /backend")
    add("--callers", type=pathlib.Path, default=HERE / "callers.yaml", help="who may call")
    add("--ek-roots", type=pathlib.Path, help="who certifies the TPMs' endorsement keys")
    add("--firmware", type=pathlib.Path, help="for TDX and SEV-SNP; Debian's OVMF unless named")
    add("--vcpus", type=int, default=1, help="for the launch digest of SEV-SNP")
    return parser.parse_args()


if __name__ == "__main__":
    refusing(main)
