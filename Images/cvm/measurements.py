"""What a client will see of the image, by each root of trust; and the policy that admits it."""

import hashlib
import importlib.metadata
import json
import pathlib

import events
import firmware

HERE = pathlib.Path(__file__).resolve().parent
ZERO = "0" * 64
COVERS = {
    0: "the firmware: version and volumes", 1: "tables and boot variables, which differ by machine",
    2: "drivers of added devices: none", 3: "settings of such drivers: none",
    4: "the unified program and the kernel in it", 5: "the partition table, the way to the kernel",
    6: "nothing", 7: "Secure Boot: off, no keys", 8: "nothing",
    9: "command line with the root's hash, initial file system",
    11: "kernel, command line and initial file system, as sections",
    12: "nothing added from outside",
    13: "no extension images", 14: "no machine owner's keys"}
POLICY = """\
# Written with the image by `make cvm`: admits this image, on a machine whose TPM is certified by an
# authority in ek-roots.pem, and no other. Every register is explained in measurements.json.
version: 1
peers:
  - name: {name}
    tier: session
    max_age: 300s
    require: {{tpm: 1}}
    tpm:
      ek_roots: [ek-roots.pem]
      ek_keys: any           # pin the machine by the SHA-256 of its endorsement key's SPKI
      pcrs:
        bank: sha256
        values:
{registers}
      reset_count: any
      restart_count: any
      firmware: any
      clock: any
      event_log: any
    configuration:
      {{access_log: [off], backend: [loopback], padding: [records, tick], use: [serve]}}
"""


def write(disk, whole, vcpus, work):
    """`whole` is the firmware for TDX and SEV-SNP, in one file."""
    program = (work / "ratel.efi").read_bytes()
    happened = list(events.boot(program, disk))
    code = (work / "firmware.fd").read_bytes()
    registers = tpm(happened, code)
    found = {
        "image": {name: sha256((work / name).read_bytes()) for name in ("ratel.img", "ratel.efi")},
        "tpm": {str(index): {"sha256": value, "covers": COVERS[index], "method": how}
                for index, (value, how) in registers.items()},
        "tdx": tdx(happened, whole), "snp": snp(program, whole, vcpus, work)}
    (work / "measurements.json").write_text(json.dumps(found, indent=1) + "\n")
    lines = "\n".join(
        f'          {index}: ["{value}"]' if value else f"          {index}: any"
        for index, (value, _) in registers.items())
    name = f"cvm-{sha256(program)[:12]}"
    (work / "policy.yaml").write_text(POLICY.format(name=name, registers=lines))


def tpm(happened, code):
    """{register: (value or None, how it was found)}."""
    known = json.loads((HERE / "firmware.json").read_text()).get(sha256(code))
    found = {}
    for index in COVERS:
        own = [event for event in happened if event.pcr == index]
        how = "computed from the image's files"
        if index == 1:
            found[index] = None, "not computed: the virtual machine's maker decides it"
            continue
        if index == 0:
            if known is None:
                found[0] = None, "this firmware is not in firmware.json: `any`"
                continue
            own = firmware_events(code, known) + own
            how = "computed from the firmware; its volume for PEI as observed, see `Images`"
        if index == 7:
            own, how = list(events.secure_boot()), "computed: empty variables"
        found[index] = (events.extend(own, "sha256") if own else ZERO), how
    return found


def firmware_events(code, known):
    """The volume for PEI is hashed after its modules wrote their variables into it: so its digest
    is one that was observed; the version and the volume for DXE are computed."""
    version, _, drivers = firmware.own_events(code, known["version"])
    observed = bytes.fromhex(known["pei_volume"])
    return [version, events.Event(0, "volume for PEI", digests=(("sha256", observed),)), drivers]


def tdx(happened, whole):
    """The registers that follow from the image; MRTD follows from the firmware alone."""
    # One separator: RTMR[1] gets it once, whatever the number of registers of a TPM it stands for.
    first = [event for event in happened if event.pcr in (4, 5) and event.data != events.SEPARATOR]
    first.insert(1, events.Event(4, "separator", events.SEPARATOR))
    then = [event for event in happened if 8 <= event.pcr <= 15]
    image = whole.read_bytes()
    return {
        "firmware": sha256(image), "mrtd": firmware.mrtd(image),
        "rtmr0": None, "rtmr1": events.extend(first, "sha384"),
        "rtmr2": events.extend(then, "sha384"), "rtmr3": "0" * 96,
        "method": {
            "mrtd": "TDX Module ABI: TDH.MEM.PAGE.ADD and TDH.MR.EXTEND by page, in the order of"
                    " the TDVF metadata, as KVM does; the number of vCPUs has no part in it",
            "rtmr0": "not computed: the memory map and the ACPI tables of the virtual machine's"
                     " maker are in it; take it from a first boot and compare it over machines",
            "rtmr1": "UEFI 2.10 section 38.4.1: what goes to PCR 2 to 6, in order",
            "rtmr2": "the same for PCR 8 to 15"},
        "checked": "not against hardware: the events are those that the TPM's boot confirmed, in"
                   " SHA-384"}


def snp(program, whole, vcpus, work):
    """By the independent calculator of PyPI. It covers what the firmware was launched with."""
    from sevsnpmeasure import guest, ovmf, vcpu_types, vmm_types
    from sevsnpmeasure.sev_mode import SevMode

    table = ovmf.OVMF(str(whole))
    hashed = table.has_metadata_section(ovmf.SectionType.SNP_KERNEL_HASHES)
    model = "EPYC-v4"
    digest = guest.calc_launch_digest(
        SevMode.SEV_SNP, vcpus, vcpu_types.CPU_SIGS[model], str(whole),
        str(work / "ratel.efi") if hashed else None, None, None, 0x1,
        vmm_type=vmm_types.VMMType.QEMU)
    return {
        "firmware": sha256(whole.read_bytes()), "vcpus": vcpus, "vcpu_type": model,
        "launch_digest": digest.hex(), "covers_the_image": hashed,
        "method": f"sev-snp-measure {importlib.metadata.version('sev-snp-measure')}, QEMU, guest"
                  " features 0x1",
        "note": "the image is part of it: start ratel.efi as the kernel, with kernel-hashes=on"
                if hashed else "the firmware alone: this one has no place for the hashes of a"
                " kernel, so the image shows in the TPM only; name an OVMF built for SEV"
                " (AmdSevX64) by FIRMWARE="}


def sha256(data):
    return hashlib.sha256(data).hexdigest()
