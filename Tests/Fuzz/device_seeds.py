"""Writes the seeds of the targets NVIDIA, RIM, OCSP and CCA: made up, signed by nobody."""

import hashlib
import struct

from seeds import POINT, SEEDS, cbor, certificate, field, head, identifier, sequence, tlv, write

TAG = "http://standards.iso.org/iso/19770/-2/2015/schema.xsd"
TCG = (
    "https://trustedcomputinggroup.org/resource/"
    "tcg-reference-integrity-manifest-rim-information-model/"
)
HASH = "http://www.w3.org/2001/04/xmlenc#sha384"
SIGNATURE = "http://www.w3.org/2000/09/xmldsig#"


def main():
    write("NVIDIA", nvidia())
    write("CCA", cca())
    plain("RIM", [manifest(b"AAAA"), manifest(b"AAAA").replace(b"ds:", b"d:"), b"<a b='&lt;'/>"])
    plain("OCSP", [answer(tlv(0x80, b"")), answer(tlv(0xA1, time())), b"\x30\x03\x0a\x01\x06"])


def plain(target, seeds):
    folder = SEEDS / target
    folder.mkdir(exist_ok=True)
    for number, seed in enumerate(seeds):
        (folder / str(number)).write_bytes(seed)


def nvidia():
    gpu = {6: b"\0\x5e\0\x96\1\0\0\0", 3: b"580.1\0", 11: b"\x55", 20: bytes(48), 21: b"\xaa"}
    gpu |= {22: bytes(16), 34: b"\1\0", 36: b"\2\0", 17: b"1010\0"}
    switch = {6: b"96.10.55.00.01", 22: bytes(8), 26: bytes(16)}
    chain = [certificate("GH100 A01 FMC LF"), certificate("GH100"), certificate("NVIDIA GH100")]
    digest = sequence(identifier("2.16.840.1.101.3.4.2.2"), tlv(4, bytes(48)))
    return [
        (0, report(gpu, 64)),
        (1, report(switch, 31)),
        (2, cbor({1: report(gpu, 2), 2: chain})),
        (4, b"\0" + sequence(tlv(2, b"\1"), sequence(), digest)),
        (4, b"\1" + sequence(tlv(0x80, b"A"), tlv(0xA6, digest + digest))),
        (6, b"580.159.03"),
        (6, b"96.00.5E.00.01"),
        (6, b"CN=NVIDIA GH100 Provisioner ICA 1,O=NVIDIA"),
    ]


def report(fields, count):
    block = b"\1" + struct.pack("<HBH", 51, 1, 48) + bytes(48)
    blocks = b"".join(bytes([index]) + block for index in range(1, count + 1))
    opaque = b"".join(struct.pack("<HH", key, len(value)) + value for key, value in fields.items())
    request = b"\x11\xe0\1\xff" + bytes(33)
    response = b"\x11\x60\0\0" + bytes([count]) + struct.pack("<I", len(blocks))[:3] + blocks
    return request + response + bytes(32) + struct.pack("<H", len(opaque)) + opaque + bytes(96)


def manifest(value):
    resource = "".join(
        f'<Resource active="True" alternatives="1" index="{index}" name="m" size="48" '
        f'type="Measurement" ns2:Hash0="{"00" * 48}"/>'
        for index in range(2)
    )
    algorithms = "http://www.w3.org/2001/04/xmldsig-more#"
    canonical = "http://www.w3.org/2006/12/xml-c14n11"
    return (
        f'<SoftwareIdentity xmlns="{TAG}" xmlns:ns1="{TCG}" xmlns:ns2="{HASH}" name="x">\n'
        f'<Meta PayloadType="direct" colloquialVersion="1.0" product="GH100" '
        f'ns1:BindingSpec="RIMIM"/><Payload>{resource}</Payload>'
        f'<ds:Signature xmlns:ds="{SIGNATURE}"><ds:SignedInfo>'
        f'<ds:CanonicalizationMethod Algorithm="{canonical}"/>'
        f'<ds:SignatureMethod Algorithm="{algorithms}ecdsa-sha384"/><ds:Reference URI="">'
        f'<ds:Transforms><ds:Transform Algorithm="{SIGNATURE}enveloped-signature"/>'
        f'<ds:Transform Algorithm="{canonical}"/></ds:Transforms>'
        f'<ds:DigestMethod Algorithm="{algorithms}sha384"/><ds:DigestValue>'
    ).encode() + value + (
        b"</ds:DigestValue></ds:Reference></ds:SignedInfo><ds:SignatureValue>AAAA"
        b"</ds:SignatureValue><ds:KeyInfo><ds:X509Data><ds:X509Certificate>AAAA"
        b"</ds:X509Certificate></ds:X509Data></ds:KeyInfo></ds:Signature></SoftwareIdentity>"
    )


def time(text=b"20260101000000Z"):
    return tlv(0x18, text)


def answer(status):
    # Of the certificate that the target makes: an empty name, P-256's base point, serial 1.
    key = bytes.fromhex(
        "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a"
        "7c0f9e162bce33576b315ececbb6406837bf51f5"
    )
    algorithm = sequence(identifier("2.16.840.1.101.3.4.2.1"), tlv(5, b""))
    names = [hashlib.sha256(part).digest() for part in (sequence(), key)]
    single = sequence(
        sequence(algorithm, tlv(4, names[0]), tlv(4, names[1]), tlv(2, b"\1")),
        status, time(), tlv(0xA0, time(b"20360101000000Z")),
    )
    data = sequence(tlv(0xA1, sequence()), time(), sequence(single))
    signature = sequence(tlv(2, b"\1"), tlv(2, b"\1"))
    basic = sequence(data, sequence(identifier("1.2.840.10045.4.3.2")), tlv(3, b"\0" + signature))
    body = field("1.3.6.1.5.5.7.48.1.1", tlv(4, basic))
    return sequence(tlv(0x0A, b"\0"), tlv(0xA0, body))


def cca():
    component = {1: "BL", 2: bytes(32), 4: "1.0", 5: bytes(32), 6: "sha-256"}
    platform = {265: "http://arm.com/CCA-SSD/1.0.0", 10: bytes(32), 2396: bytes(32)}
    platform |= {256: b"\1" + bytes(32), 2401: b"\0", 2395: 0x3000, 2402: "sha-256"}
    platform |= {2399: [component], 2400: "https://example.org"}
    realm = {10: bytes(64), 44235: bytes(64), 44236: "sha-256", 44240: "sha-256"}
    realm |= {44237: POINT, 44238: bytes(32), 44239: [bytes(32)] * 4}
    key = bytes.fromhex("a40102200221") + cbor(POINT[1:49]) + b"\x22" + cbor(POINT[49:])
    newer = realm | {265: "tag:arm.com,2023:realm#1.0.0", 44237: key}
    token = head(6, 399) + cbor({44234: envelope(platform), 44241: envelope(realm)})
    return [
        (0, token),
        (1, cbor(platform)),
        (2, cbor(realm)),
        (2, cbor(newer)),
        (3, cbor({1: token, 2: b"\0"})),
    ]


def envelope(claims):
    return b"\xd2" + cbor([b"\xa1\x01\x38\x22", {}, cbor(claims), bytes(96)])


if __name__ == "__main__":
    main()
