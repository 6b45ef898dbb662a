"""The measured image: admitted by the policy of its build alone, and stopped or refused if changed.
"""

import contextlib
import functools
import hashlib
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time

from machine import CVM, certified_tpm, copy, machine
from support import ROOT, run

sys.path.insert(0, str(ROOT / "Images/cvm"))

import archive
import build
import disk
import measurements
from harness import free_port, wait_until


@functools.cache
def place():
    """A TPM, the image built for its authority, and the command that the image holds."""
    with contextlib.ExitStack() as keep:
        folder = keep.enter_context(tempfile.TemporaryDirectory(prefix="ratel-machine-"))
        folder = pathlib.Path(folder)
        tpm = certified_tpm(folder / "tpm")
        produce(CVM, tpm)
        ratel = next((ROOT / ".build/image/binary").glob("*/ratel"))
        return keep.pop_all(), folder, tpm, ratel


def produce(output, tpm):
    start = time.monotonic()
    shown = run(sys.executable, ROOT / "Images/cvm/build.py", "--output", output,
                "--ek-roots", tpm / "ca.pem", timeout=1200).stdout
    print(f"    built in {time.monotonic() - start:.1f} s")
    return shown


def test_the_client_admits_it_by_the_built_policy():
    _, folder, tpm, ratel = place()
    with machine(folder / "whole", CVM / "ratel.img", tpm) as one:
        assert one.serves(), one.said()[-1500:]
        start = time.monotonic()
        shown = one.ratel(ratel, "verify", CVM / "policy.yaml").stdout
        assert "ADMITTED" in shown, shown
        print(f"    admitted in {time.monotonic() - start:.1f} s")
        assert_registers(shown)
        stream(one, ratel)


def assert_registers(shown):
    """The registers are as calculated, each of them, not only those that a policy compares."""
    got = dict(re.findall(r"^\s+pcr\.(\d+)\s+([0-9a-f]{64})$", shown, re.MULTILINE))
    told = json.loads((CVM / "measurements.json").read_text())["tpm"]
    values = {name: one["sha256"] for name, one in told.items() if one["sha256"]}
    assert {name: got[name] for name in values} == values
    print(f"    PCRs {', '.join(values)} as calculated")


def stream(one, ratel):
    port = free_port()
    helper = subprocess.Popen(
        [ratel, "connect", f"127.0.0.1:{one.port}", "--policy", CVM / "policy.yaml",
         "--listen", f"127.0.0.1:{port}", "--collateral-cache", "off"],
        stderr=subprocess.DEVNULL)
    try:
        body = '{"model":"demo","stream":true,"messages":[{"role":"user","content":"hello"}]}'
        answer = run(
            "curl", "-sS", "--retry", "20", "--retry-connrefused", "--retry-delay", "1",
            "-H", "content-type: application/json", "-d", body, "-w", "\n%{time_starttransfer}",
            f"http://127.0.0.1:{port}/v1/chat/completions").stdout
    finally:
        helper.terminate()
        helper.wait(10)
    pieces = answer.count("data: {")
    assert pieces > 10 and "data: [DONE]" in answer, answer[-500:]
    print(f"    {pieces} pieces, the first after {answer.splitlines()[-1]} s")


def test_a_changed_byte_on_the_disk_stops_the_boot():
    _, folder, tpm, _ = place()
    changed = copy(CVM / "ratel.img", folder / "changed.img")
    place_of_ratel = flip(changed)
    print(f"    one bit at byte {place_of_ratel} of the disk, in /usr/bin/ratel")
    with machine(folder / "changed", changed, tpm) as one:
        assert not one.serves(), one.said()[-1500:]
        said = one.said()
        assert "verity" in said and "serve: listening" not in said, said[-1500:]
        print("    " + re.search(r"[^\n]*(?:data block \d+ is corrupted|cvm\.\w+)[^\n]*", said)[0])
        print(f"    stopped {time.monotonic() - one.start:.1f} s after power on")


def test_a_changed_image_with_its_own_hashes_boots_and_is_refused():
    """Whoever changes the root and makes everything else fit it changes what is measured."""
    _, folder, tpm, ratel = place()
    work = folder / "rebuilt"
    work.mkdir()
    image = rebuilt(work)
    with machine(folder / "other", image, tpm) as one:
        assert one.serves(), one.said()[-1500:]
        done = one.ratel(ratel, "verify", CVM / "policy.yaml", check=False)
        shown = done.stdout + done.stderr
        assert done.returncode != 0 and "tpm.pcr.mismatch" in shown, shown
        named = re.search(r"PCR (\d+) \(sha256\)", shown)
        assert named and named[1] in {"4", "5", "9", "11"}, shown
        print("   " + "\n   ".join(line for line in shown.splitlines()[:7]))


def rebuilt(work):
    """One byte of the root, new hashes over it, a new program that names them, a new disk."""
    root, tree = copy(CVM / "root.squashfs", work / "root.squashfs"), work / "root.verity"
    data = bytearray(root.read_bytes())
    # In a comment: the machine runs as before, and only its measurement tells.
    data[data.index(b"What udhcpc calls")] ^= 0x20
    root.write_bytes(data)
    packages = archive.fetch(ROOT / "Images/cvm/lock.json")
    program = build.program_of(packages, disk.verity(root, tree))
    disk.assemble(program, root, tree, 0, work / "ratel.img")
    return work / "ratel.img"


def flip(image):
    """One bit of the program, behind its header, so that it is read when the program starts."""
    with open(image, "r+b") as file:
        data = file.read()
        head = next((ROOT / ".build/image/binary").glob("*/ratel")).read_bytes()[:4096]
        at = data.index(head) + 1000
        file.seek(at)
        file.write(bytes([data[at] ^ 1]))
    return at


def test_it_is_the_same_twice():
    """But for the command, which is built once: that it is the same is for `test_twice`."""
    _, folder, tpm, _ = place()
    produce(folder / "again", tpm)
    for name in ("ratel.img", "ratel.efi", "measurements.json", "policy.yaml"):
        one, other = (hashlib.sha256((base / name).read_bytes()).hexdigest()
                      for base in (CVM, folder / "again"))
        assert one == other, name
        print(f"    {name} sha256:{one}")


def test_what_is_measured_follows_the_image():
    """Every register that is said to cover the image does; those of the firmware alone do not."""
    _, folder, *_ = place()
    work = folder / "measured"
    work.mkdir()
    for name in ("firmware.fd", "firmware-confidential.fd"):
        copy(CVM / name, work / name)
    image = rebuilt(work)
    measurements.write(image, work / "firmware-confidential.fd", 1, work)
    before, after = (
        json.loads((base / "measurements.json").read_text()) for base in (CVM, work))
    changed = {name for name, one in before["tpm"].items() if one != after["tpm"][name]}
    assert changed == {"4", "5", "9", "11"}, changed
    for name in ("rtmr1", "rtmr2"):
        assert before["tdx"][name] != after["tdx"][name], name
    assert before["tdx"]["mrtd"] == after["tdx"]["mrtd"]
    firmware_changed = bytearray((work / "firmware-confidential.fd").read_bytes())
    firmware_changed[-100_000] ^= 1
    (work / "firmware-confidential.fd").write_bytes(firmware_changed)
    measurements.write(image, work / "firmware-confidential.fd", 2, work)
    third = json.loads((work / "measurements.json").read_text())
    assert third["tdx"]["mrtd"] != after["tdx"]["mrtd"]
    assert third["snp"]["launch_digest"] != after["snp"]["launch_digest"]


def test_its_end():
    """What was started and written here is gone."""
    keep, folder, *_ = place()
    keep.close()
    wait_until(lambda: not folder.exists(), 5, "the folder's removal")
