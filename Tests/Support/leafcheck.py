"""A second reader of the Evidence in a leaf certificate, from the published descriptions alone:
tagged evidence of the CCC's interoperable RA-TLS, and id-pe-cmw (RFC 9999), over TDX, a TPM or a
software key. It shares nothing with what it reads but the specifications."""

import hashlib
import struct

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

CCC, CMW = "2.23.133.5.4.9", "1.3.6.1.5.5.7.1.35"
HASHES = {1: "sha256", 7: "sha384", 8: "sha512"}
TDX, TPM = "application/vnd.ratel.tdx+cbor", "application/vnd.ratel.tpm+cbor"
SIMULATED = "application/vnd.ratel.simulated+cbor"


class Refused(Exception):
    """Why a certificate says nothing of its key."""


def require(condition, why):
    if not condition:
        raise Refused(why)


def check(certificate, root=None):
    """The media types of the Evidence in a DER certificate, whose key both forms of it hold for."""
    leaf = x509.load_der_x509_certificate(certificate)
    spki = leaf.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    quote, claims = tagged(extension(leaf, CCC))
    check_claims(claims, spki)
    records = collection(extension(leaf, CMW))
    require(any(content == quote for _, content in records), "id-pe-cmw carries another quote")
    for media, content in records:
        require(media in READERS, f"no reader for {media}")
        READERS[media](content, hashlib.sha256(claims).digest(), root)
    return sorted(media for media, _ in records)


def extension(leaf, identifier):
    found = [item.value.value for item in leaf.extensions if item.oid.dotted_string == identifier]
    require(len(found) == 1, f"no extension {identifier}")
    return found[0]


def tagged(content):
    """Quote and claims of `D9 EA60 82 bstr bstr`."""
    value = decode(content)
    require(isinstance(value, Tag) and value.number == 60000, "not tagged evidence")
    require(isinstance(value.value, list) and len(value.value) == 2, "not a quote and claims")
    require(all(isinstance(part, bytes) for part in value.value), "not byte strings")
    return value.value


def check_claims(claims, spki):
    """The claims name the certificate's own key."""
    pair = decode(decode(claims)["pubkey-hash"])
    require(len(pair) == 2 and pair[0] in HASHES, "an unknown hash")
    require(pair[1] == hashlib.new(HASHES[pair[0]], spki).digest(), "the claims name another key")


def collection(content):
    """Media type and Evidence of each record: `CHOICE {json UTF8String, cbor OCTET STRING}`."""
    kind, inner, rest = element(content)
    require(kind == 0x04 and not rest, "no CBOR in id-pe-cmw")
    records = list(decode(inner).values())
    require(records and all(len(record) == 3 and record[2] & 4 for record in records),
            "no Evidence in id-pe-cmw")
    return [(record[0], record[1]) for record in records]


def element(content):
    """Tag, content and rest of one element of DER."""
    require(len(content) >= 2, "DER ends early")
    size, at = content[1], 2
    if size & 0x80:
        at += size & 0x7F
        size = int.from_bytes(content[2:at], "big")
    require(len(content) >= at + size, "DER ends early")
    return content[0], content[at:at + size], content[at + size:]


# Evidence: each reader is given what the certificate's key makes of the claims.


def check_tdx(quote, digest, root):
    """A TDX quote of version 4: signed by a key that the quoting enclave reports, whose report is
    signed by the platform's key, which leads to `root`."""
    require(struct.unpack_from("<HHI", quote) == (4, 2, 0x81), "not a TDX quote of version 4")
    require(quote[568:632] == digest + bytes(32), "report_data is not of this key")
    data = quote[636:]
    require(struct.unpack_from("<I", quote, 632)[0] == len(data), "another length")
    key, (kind, size) = data[64:128], struct.unpack_from("<HI", data, 128)
    require(kind == 6 and size == len(data) - 134, "no report of the quoting enclave")
    verify(public_key(key), data[:64], quote[:632])
    inner = data[134:]
    report, signature, length = inner[:384], inner[384:448], struct.unpack_from("<H", inner, 448)[0]
    authentication = inner[450:450 + length]
    require(report[320:384] == hashlib.sha256(key + authentication).digest() + bytes(32),
            "the quoting enclave reports another key")
    chain = x509.load_pem_x509_certificates(inner[456 + length:].rstrip(b"\0"))
    verify(chain[0].public_key(), signature, report)
    for subject, issuer in zip(chain, chain[1:]):
        subject.verify_directly_issued_by(issuer)
    require(root is not None and chain[-1] == x509.load_pem_x509_certificate(root),
            "another root")


def check_tpm(evidence, digest, _):
    """TPMS_ATTEST, TPMT_SIGNATURE and TPMT_PUBLIC (TPM 2.0 Part 2) of a key on P-256."""
    fields = decode(evidence)
    attest, signature, area = fields[1], fields[2], fields[3]
    require(attest[:6] == b"\xffTCG\x80\x18", "not a quote of a TPM")
    _, rest = sized(attest[6:])
    qualifying, _ = sized(rest)
    require(qualifying == hashlib.sha256(b"ratel-attest/1 static tpm\0" + digest).digest(),
            "the qualifying data is not of this key")
    # Type and name algorithm, attributes, policy; no symmetric cipher, ECDSA with SHA-256, P-256.
    require(area[:4] == b"\x00\x23\x00\x0b", "not a key on a curve")
    _, rest = sized(area[8:])
    require(rest[:10] == bytes.fromhex("00100018000b00030010"), "not ECDSA on P-256")
    x, rest = sized(rest[10:])
    y, _ = sized(rest)
    require(signature[:4] == bytes.fromhex("0018000b"), "not ECDSA with SHA-256")
    r, rest = sized(signature[4:])
    s, _ = sized(rest)
    verify(public_key(x.rjust(32, b"\0") + y.rjust(32, b"\0")),
           r.rjust(32, b"\0") + s.rjust(32, b"\0"), attest)


def check_simulated(evidence, digest, _):
    fields = decode(evidence)
    require(fields[1] == digest + bytes(32), "report_data is not of this key")
    key = serialization.load_der_public_key(fields[2])
    verify(key, fields[3], b"ratel-attest/1 simulated\0" + fields[1])


READERS = {TDX: check_tdx, TPM: check_tpm, SIMULATED: check_simulated}


def sized(content):
    """A TPM2B and what follows it."""
    end = 2 + struct.unpack_from(">H", content)[0]
    return content[2:end], content[end:]


def public_key(point):
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\4" + point)


def verify(key, raw, message):
    """ECDSA P-256 with SHA-256, r ‖ s."""
    r, s = (int.from_bytes(half, "big") for half in (raw[:32], raw[32:]))
    try:
        key.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise Refused("a signature is of another key") from None


# CBOR (RFC 8949), as much as there is.


class Tag:
    def __init__(self, number, value):
        self.number, self.value = number, value


def decode(content):
    value, rest = item(content)
    require(not rest, "bytes behind the CBOR")
    return value


def item(content):
    require(content, "CBOR ends early")
    major, info = content[0] >> 5, content[0] & 31
    require(info < 28, "CBOR without a length")
    extra = 0 if info < 24 else 1 << (info - 24)
    number = int.from_bytes(content[1:1 + extra], "big") if extra else info
    rest = content[1 + extra:]
    if major == 0:
        return number, rest
    if major in (2, 3):
        require(len(rest) >= number, "CBOR ends early")
        text = rest[:number]
        return text if major == 2 else text.decode(), rest[number:]
    if major == 4:
        found = []
        for _ in range(number):
            value, rest = item(rest)
            found.append(value)
        return found, rest
    if major == 5:
        found = {}
        for _ in range(number):
            key, rest = item(rest)
            require(key not in found, "a key twice")
            found[key], rest = item(rest)
        return found, rest
    require(major == 6, f"CBOR of major type {major}")
    value, rest = item(rest)
    return Tag(number, value), rest
