"""Minted platforms of every kind: devices that produce Evidence, a policy that fits it, and each
field of that policy made wrong, with the code of the refusal and what its text has to name."""

import copy
import json
import pathlib
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "Support"))

from devices import NSM, TSM, Gramine  # noqa: E402
from minting import amd, intel, nitro  # noqa: E402

ANY_TCB = {"accept": ["UpToDate"], "min_evaluation": intel.EVALUATION}
OTHER = {16: "fe" * 16, 32: "fe" * 32, 48: "fe" * 48, 64: "fe" * 64}


class Platform:
    """What one kind of machine shows.

    `cases` are `(path of the field, wrong value, code, words that the refusal names)`; a value of
    None takes the field out.
    """

    def __init__(self, name, attester, section, cases, mount, write, vendor):
        self.name, self.attester, self.section, self.cases = name, attester, section, cases
        self.mount, self.write, self.vendor = mount, write, vendor
        self.root = vendor.ark if isinstance(vendor, amd.AMD) else vendor.root

    def policy(self, folder, path=None, value=None, **peer):
        """The policy as a file; JSON is YAML."""
        section = copy.deepcopy(self.section)
        pem = folder / "root.pem"
        if not pem.exists():
            pem.write_bytes(self.root.pem)
        product = next(iter(section.get("products", {})), None)
        section["roots"] = {product: [str(pem)]} if product else [str(pem)]
        if path:
            *outer, last = path.split(".")
            place = section
            for name in outer:
                place = place[name]
            if value is None:
                del place[last]
            else:
                place[last] = value
        entry = {"name": self.name, "require": {self.attester: 1}, self.attester: section}
        document = {"version": 1, "peers": [entry | peer]}
        file = folder / f"{self.name}-{path or 'good'}-{abs(hash(str((value, peer))))}.yaml"
        file.write_text(json.dumps(document))
        return file


def tdx(version=4, status="UpToDate", advisories=()):
    vendor = intel.Intel()
    # PKS is an attribute that policies may allow.
    fields = {"attributes": struct.pack("<Q", 1 << 28 | 1 << 30)}
    names = ["mrtd", "mrconfigid", "mrowner", "mrownerconfig"]
    section = {name: [intel.TD[name].hex()] for name in names}
    section |= {
        "rtmr": {str(index): [intel.TD[f"rtmr{index}"].hex()] for index in range(4)},
        "attributes": ["pks"], "tcb": copy.deepcopy(ANY_TCB), "platforms": [intel.PPID.hex()]}
    cases = [
        (name, [OTHER[48]], f"dcap.tdx.{name}", [intel.TD[name].hex(), OTHER[48], name])
        for name in names]
    for index in range(4):
        value = intel.TD[f"rtmr{index}"].hex()
        cases.append((
            f"rtmr.{index}", [OTHER[48]], f"dcap.tdx.rtmr{index}",
            [value, OTHER[48], f"rtmr{index}"]))
    cases.append(("attributes", [], "dcap.tdx.attributes", ["TD_ATTRIBUTES", "0000005000000000"]))
    if advisories:
        tolerance = {"status": status, "advisories": list(advisories), "until": "2199-01-01"}
        section["tcb"]["tolerate"] = [tolerance]
        past, other = dict(tolerance, until="2020-01-01"), dict(tolerance, advisories=["INTEL-1"])
        words = [status, *advisories]
        cases = [("tcb.tolerate", [wrong], "dcap.tcb.status", words) for wrong in (past, other)]
    return Platform(
        f"tdx{version}-{status}", "tdx", section, cases + dcap_cases(status),
        lambda devices: devices.mounted.update(
            tsm=TSM("tdx_guest", lambda data: vendor.tdx(data, version, **fields))),
        lambda folder: vendor.write(folder, "TDX", status, advisories), vendor)


def sgx():
    vendor = intel.Intel()
    section = {
        "mrenclave": [intel.ENCLAVE["mrenclave"].hex()],
        "mrsigner": [intel.ENCLAVE["mrsigner"].hex()], "isvprodid": ["0007"], "min_isvsvn": 3,
        "tcb": copy.deepcopy(ANY_TCB), "platforms": [intel.PPID.hex()]}
    cases = [
        (name, [OTHER[32]], f"dcap.sgx.{name}", [section[name][0], OTHER[32], name])
        for name in ("mrenclave", "mrsigner")]
    cases.append(("isvprodid", ["0008"], "dcap.sgx.isvprodid", ["0008", "0007", "isvprodid"]))
    cases.append(("min_isvsvn", 4, "dcap.sgx.isvsvn", ["ISVSVN", "at least 4", "3"]))
    return Platform(
        "sgx", "sgx", section, cases + dcap_cases(),
        lambda devices: devices.mounted.update(attestation=Gramine(vendor.sgx)),
        lambda folder: vendor.write(folder, "SGX"), vendor)


def dcap_cases(status="UpToDate"):
    found = [
        ("tcb.min_evaluation", 21, "dcap.tcb.evaluation",
         ["tcbEvaluationDataNumber", "at least 21", "20"]),
        ("platforms", [OTHER[16]], "dcap.platform", [intel.PPID.hex(), OTHER[16], "platform"]),
        ("roots", None, "dcap.chain.root", ["Intel SGX Root CA"]),
    ]
    if status == "UpToDate":
        found.append(
            ("tcb.accept", ["OutOfDate"], "dcap.tcb.status", ["TCB status", "OutOfDate", status]))
    return found


# Bits that a strict policy refuses or misses: SMT and CXL allowed, nothing hardened.
WEAK = {
    "policy": 1 << 17 | 1 << 16 | 1 << 21 | 1 << 8 | 55, "platform_info": 0,
    "committed_build": 39}
FEATURES = {
    "smt": "refused", "cxl": "refused", "single_socket": "required", "aes_xts": "required",
    "rapl_disabled": "required", "ciphertext_hiding": "required",
    "page_swap_disabled": "required", "alias_check": "required"}
FLOORS = ["current", "committed", "reported", "launch"]


def snp(product="Genoa", provider=None, source="table"):
    """`source` is where certificates come from: the host's `table`, or a `folder`."""
    vendor = amd.AMD(product, provider)
    name, level = product.lower(), amd.LEVELS[product]
    chip = "00" * 64 if provider else amd.CHIP[product].ljust(64, b"\0").hex()
    report = amd.REPORT
    digests = ["measurement", "host_data", "id_key_digest", "author_key_digest"]
    section = {digest: [report[digest].hex()] for digest in digests}
    section |= {
        "products": {name: {floor: dict(level) for floor in FLOORS}}, "chip_id": [chip],
        "guest_svn": {"at_least": 5}, "vmpl": [2], "abi": {"at_least": "1.55"},
        "features": dict.fromkeys(FEATURES, "any"), "vlek": [provider] if provider else "refused",
        "revocation": "required", "provisional_firmware": "any"}
    cases = [
        (digest, [OTHER[len(report[digest])]], f"snp.{digest}",
         [digest.upper(), report[digest].hex(), OTHER[len(report[digest])]])
        for digest in digests]
    for floor in FLOORS:
        for part in level:
            wrong = dict(level, **{part: level[part] + 1})
            cases.append((
                f"products.{name}.{floor}", wrong, f"snp.tcb.{floor}",
                [f"{floor.upper()}_TCB {part}", f"at least {level[part] + 1}",
                 str(level[part])]))
    for feature, wrong in FEATURES.items():
        code = "snp.alias_check" if feature == "alias_check" else f"snp.policy.{feature}"
        words = ["ALIAS_CHECK_COMPLETE" if feature == "alias_check" else feature, "0", "1"]
        cases.append((f"features.{feature}", wrong, code, words))
    cases += [
        ("chip_id", [OTHER[64]], "snp.chip_id", ["CHIP_ID", chip, OTHER[64]]),
        ("guest_svn", {"at_least": 6}, "snp.guest_svn", ["GUEST_SVN", "at least 6", "5"]),
        ("vmpl", [0], "snp.vmpl", ["VMPL", "[0]", "2"]),
        ("abi", {"at_least": "1.56"}, "snp.policy.abi", ["ABI", "at least 1.56", "1.55"]),
        ("provisional_firmware", "refused", "snp.firmware.provisional", ["COMMITTED", "1.55.39"]),
        ("roots", None, "snp.root.unknown", ["AMD Root Key", "pinned ARK"]),
    ]
    if provider:
        cases += [
            ("vlek", "refused", "snp.vlek.provider", ["CSP_ID", "a key of one chip", provider]),
            ("vlek", ["CN=other"], "snp.vlek.provider", ["CSP_ID", "CN=other", provider])]
    auxiliary = vendor.table if source == "table" else lambda: b""
    return Platform(
        f"snp-{product}{'-vlek' if provider else ''}", "snp", section, cases,
        lambda devices: devices.mounted.update(tsm=TSM(
            "sev_guest", lambda data, vmpl: vendor.report(data, vmpl=vmpl, **WEAK),
            auxiliary, floor=2)),
        None if source == "table" else vendor.write, vendor)


def nitro_enclave():
    vendor = nitro.Nitro()
    pcrs = {index: nitro.PCRS[index].hex() for index in (0, 1, 2, 3, 8)}
    section = {
        "pcrs": {str(index): [value] for index, value in pcrs.items()}, "max_skew": "60s"}
    cases = [
        (f"pcrs.{index}", [OTHER[48]], "nitro.pcr.mismatch", [f"PCR {index}", value, OTHER[48]])
        for index, value in pcrs.items()]
    cases += [
        ("max_skew", "10s", "nitro.timestamp", ["timestamp", "within 10 s"]),
        ("roots", None, "nitro.root.unknown", ["641a0321a3e244efe456463195d606317ed7cdcc"])]

    def make(user_data, nonce, public_key):
        return vendor.document(user_data, nonce, public_key, skew=-30)

    return Platform(
        "nitro", "nitro", section, cases,
        lambda devices: devices.mounted.update(nsm=NSM(make)), None, vendor)
