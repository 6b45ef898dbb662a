"""A made-up Intel: PKI, collateral, and quotes of TDX (versions 4 and 5) and SGX (version 3).

The layouts are those of Intel's documents: SGX PCK Certificate and CRL Profile, PCS API version 4,
TDX and SGX DCAP Quoting Library API, appendix A.
"""

import datetime
import hashlib
import json
import struct

from cryptography.hazmat.primitives.asymmetric import ec

from .pki import (
    DAY, NOW, Authority, der, der_identifier, der_integer, name, point, sign_raw)

ARC = "1.2.840.113741.1.13.1"
VENDOR = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
FMSPC, PCEID, PPID = bytes.fromhex("f0f0f0000000"), bytes(2), bytes(range(16))
COMPONENTS, PCESVN = [3, 3, 2, 2, 4, 1, 0, 5] + [0] * 8, 11
QE_SIGNER = {"TD_QE": b"\x51" * 32, "QE": b"\x52" * 32}
QE_PRODUCT = {"TD_QE": 2, "QE": 1}
EVALUATION = 20


class Intel:
    """One PKI and the platform that it speaks for."""

    def __init__(self):
        place = {"C": "US", "ST": "CA", "L": "Santa Clara", "O": "Intel Corporation"}
        self.root = Authority(name("Intel SGX Root CA", **place))
        self.platform = Authority(name("Intel SGX PCK Platform CA", **place), self.root)
        self.pck = Authority(
            name("Intel SGX PCK Certificate", **place), self.platform, is_authority=False,
            extensions=[(ARC, sgx_extension())])
        self.signer = Authority(
            name("Intel SGX TCB Signing", **place), self.root, is_authority=False)
        self.attestation_key = ec.generate_private_key(ec.SECP256R1())

    def write(self, folder, tee="TDX", status="UpToDate", advisories=(), revoked=()):
        """The collateral as files, for `--endorsements`."""
        files = {
            "tcb_info.json": self.signed("tcbInfo", tcb_info(tee, status, advisories)),
            "qe_identity.json": self.signed(
                "enclaveIdentity", identity("TD_QE" if tee == "TDX" else "QE")),
            "tcb_signing_chain.pem": self.signer.pem + self.root.pem,
            "pck_crl.der": self.platform.revocation_list(revoked),
            "root_ca_crl.der": self.root.revocation_list(),
        }
        for file, content in files.items():
            (folder / file).write_bytes(content)

    def signed(self, member, value):
        text = json.dumps(value, separators=(",", ":")).encode()
        signature = sign_raw(self.signer.key, text).hex().encode()
        return b'{"' + member.encode() + b'":' + text + b',"signature":"' + signature + b'"}'

    def tdx(self, report_data, version=4, **fields):
        body = td_report(report_data, **fields)
        header = self.header(version, 0x81)
        if version == 5:
            body += TCB_SVN + bytes(48)
            header += struct.pack("<HI", 3, len(body))
        return self.quote(header + body, "TD_QE")

    def sgx(self, report_data, **fields):
        return self.quote(
            self.header(3, 0) + enclave_report(report_data, **fields), "QE", wraps=False)

    def header(self, version, tee):
        return struct.pack("<HHI", version, 2, tee) + bytes(4) + VENDOR + bytes(20)

    def quote(self, signed, enclave, wraps=True):
        authentication = bytes(range(32))
        key = point(self.attestation_key)
        covered = hashlib.sha256(key + authentication).digest() + bytes(32)
        report = enclave_report(
            covered, mrsigner=QE_SIGNER[enclave], isvprodid=QE_PRODUCT[enclave], isvsvn=4)
        chain = self.pck.pem + self.platform.pem + self.root.pem
        certification = (
            report + sign_raw(self.pck.key, report)
            + struct.pack("<H", len(authentication)) + authentication
            + struct.pack("<HI", 5, len(chain)) + chain)
        if wraps:
            certification = struct.pack("<HI", 6, len(certification)) + certification
        data = sign_raw(self.attestation_key, signed) + key + certification
        return signed + struct.pack("<I", len(data)) + data


TCB_SVN = bytes([5, 1, 2]) + bytes(13)
TD = {
    "mrtd": b"\x11" * 48, "mrconfigid": b"\x12" * 48, "mrowner": b"\x13" * 48,
    "mrownerconfig": b"\x14" * 48, "rtmr0": b"\x20" * 48, "rtmr1": b"\x21" * 48,
    "rtmr2": b"\x22" * 48, "rtmr3": b"\x23" * 48,
    # SEPT_VE_DISABLE, and the two features that every TD has.
    "attributes": struct.pack("<Q", 1 << 28), "xfam": struct.pack("<Q", 3),
}
ENCLAVE = {"mrenclave": b"\x31" * 32, "mrsigner": b"\x32" * 32, "isvprodid": 7, "isvsvn": 3}


def td_report(report_data, **fields):
    td = TD | fields
    registers = b"".join(td[f"rtmr{index}"] for index in range(4))
    return (
        TCB_SVN + bytes(48) + bytes(48) + bytes(8) + td["attributes"] + td["xfam"] + td["mrtd"]
        + td["mrconfigid"] + td["mrowner"] + td["mrownerconfig"] + registers + report_data)


def enclave_report(report_data, attributes=b"\x05" + bytes(15), **fields):
    enclave = ENCLAVE | fields
    numbers = struct.pack("<HHH", enclave["isvprodid"], enclave["isvsvn"], 0)
    return (
        bytes(16) + bytes(4) + bytes(28) + attributes + enclave["mrenclave"] + bytes(32)
        + enclave["mrsigner"] + bytes(32) + bytes(64) + numbers + bytes(58) + report_data)


def sgx_extension():
    def field(arc, value):
        return der(0x30, der_identifier(f"{ARC}.{arc}"), value)

    levels = [field(f"2.{1 + place}", der_integer(svn)) for place, svn in enumerate(COMPONENTS)]
    levels.append(field("2.17", der_integer(PCESVN)))
    levels.append(field("2.18", der(4, bytes(COMPONENTS))))
    return der(
        0x30, field("1", der(4, PPID)), field("2", der(0x30, *levels)),
        field("3", der(4, PCEID)), field("4", der(4, FMSPC)), field("5", der(10, b"\x01")))


def tcb_info(tee, status, advisories):
    def level(sgx, tdx, pcesvn, status, advisories=()):
        tcb = {"sgxtcbcomponents": [{"svn": svn} for svn in sgx], "pcesvn": pcesvn}
        if tee == "TDX":
            tcb["tdxtcbcomponents"] = [{"svn": svn} for svn in tdx]
        found = {"tcb": tcb, "tcbDate": text(NOW - 100 * DAY), "tcbStatus": status}
        return found | ({"advisoryIDs": list(advisories)} if advisories else {})

    module = {
        "mrsigner": "00" * 48, "attributes": "00" * 8, "attributesMask": "FF" * 8}
    info = {
        "id": tee, "version": 3, "issueDate": text(NOW - DAY), "nextUpdate": text(NOW + 30 * DAY),
        "fmspc": FMSPC.hex(), "pceId": PCEID.hex(), "tcbType": 0,
        "tcbEvaluationDataNumber": EVALUATION,
    }
    if tee == "TDX":
        current = {
            "tcb": {"isvsvn": 4}, "tcbDate": text(NOW - 100 * DAY), "tcbStatus": "UpToDate"}
        info |= {
            "tdxModule": module,
            "tdxModuleIdentities": [{"id": "TDX_01"} | module | {"tcbLevels": [current]}]}
    info["tcbLevels"] = [
        level(COMPONENTS, TCB_SVN, PCESVN, status, advisories),
        level([0] * 16, [0] * 16, 5, "OutOfDate"),
    ]
    return info


def identity(enclave):
    return {
        "id": enclave, "version": 2, "issueDate": text(NOW - DAY),
        "nextUpdate": text(NOW + 30 * DAY), "tcbEvaluationDataNumber": EVALUATION,
        "miscselect": "00" * 4, "miscselectMask": "FF" * 4,
        "attributes": "05" + "00" * 15, "attributesMask": "FB" + "FF" * 7 + "00" * 8,
        "mrsigner": QE_SIGNER[enclave].hex(), "isvprodid": QE_PRODUCT[enclave],
        "tcbLevels": [
            {"tcb": {"isvsvn": 4}, "tcbDate": text(NOW - 100 * DAY), "tcbStatus": "UpToDate"}],
    }


def text(when):
    return when.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
