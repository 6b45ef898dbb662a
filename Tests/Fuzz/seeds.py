"""Writes the seeds of the targets DCAP, SNP and Nitro: well-formed, made up, signed by nobody."""

import base64
import json
import pathlib
import struct

SEEDS = pathlib.Path(__file__).resolve().parent / "Seeds"
VENDOR = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
# The base point of P-384, SEC 2 section 2.5.1: a valid key that needs no making.
POINT = bytes.fromhex(
    "04aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e38"
    "72760ab73617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a"
    "431d7c90ea0e5f"
)


def main():
    write("DCAP", dcap())
    write("SNP", snp())
    write("Nitro", nitro())


def write(target, seeds):
    folder = SEEDS / target
    folder.mkdir(exist_ok=True)
    for number, (choice, seed) in enumerate(seeds):
        (folder / str(number)).write_bytes(bytes([choice]) + seed)


def dcap():
    info, identity, chain = tcb_info(), qe_identity(), pem(certificate("Intel SGX TCB Signing"))
    collateral = {1: info, 2: identity, 3: chain, 4: b"\x30\x00", 5: b"\x30\x00"}
    return [
        (0, quote(3, 0, bytes(384))),
        (0, quote(4, 0x81, bytes(584)) + bytes(16)),
        (0, quote(5, 0x81, struct.pack("<HI", 3, 648) + bytes(648))),
        (1, info),
        (2, identity),
        (3, pck_extension()),
        (3, certificate("Intel SGX PCK Certificate", [("1.2.840.113741.1.13.1", pck_extension())])),
        (4, cbor(collateral)),
    ]


def quote(version, tee, body):
    chain = pem(certificate("Intel SGX PCK Certificate"))
    certification = struct.pack("<HI", 5, len(chain)) + chain
    inner = bytes(384 + 64) + struct.pack("<H", 32) + bytes(32) + certification
    if version > 3:
        inner = struct.pack("<HI", 6, len(inner)) + inner
    inner = bytes(128) + inner
    head = struct.pack("<HHII", version, 2, tee, 0) + VENDOR + bytes(20)
    return head + body + struct.pack("<I", len(inner)) + inner


def signed(member, value):
    value |= {"issueDate": "2026-01-01T00:00:00Z", "nextUpdate": "2026-12-01T00:00:00Z"}
    value["tcbEvaluationDataNumber"] = 17
    return json.dumps({member: value, "signature": "00" * 64}, separators=(",", ":")).encode()


def tcb_info():
    components = [{"svn": number} for number in range(16)]
    tcb = {"sgxtcbcomponents": components, "pcesvn": 13, "tdxtcbcomponents": components}
    module = {"mrsigner": "00" * 48, "attributes": "00" * 8, "attributesMask": "ff" * 8}
    level = {"tcb": {"isvsvn": 4}, "tcbStatus": "OutOfDate", "advisoryIDs": ["INTEL-SA-00001"]}
    value = {"id": "TDX", "version": 3, "fmspc": "00" * 6, "pceId": "0000", "tdxModule": module}
    value["tdxModuleIdentities"] = [module | {"id": "TDX_01", "tcbLevels": [level]}]
    value["tcbLevels"] = [{"tcb": tcb, "tcbStatus": "UpToDate"}]
    return signed("tcbInfo", value)


def qe_identity():
    value = {"id": "TD_QE", "version": 2, "miscselect": "00" * 4, "miscselectMask": "ff" * 4}
    value |= {"attributes": "00" * 16, "attributesMask": "ff" * 16, "mrsigner": "00" * 32}
    value |= {"isvprodid": 0, "tcbLevels": [{"tcb": {"isvsvn": 0}, "tcbStatus": "UpToDate"}]}
    return signed("enclaveIdentity", value)


def pck_extension():
    arc = "1.2.840.113741.1.13.1."
    tcb = [field(f"{arc}2.{number}", tlv(2, b"\x03")) for number in range(1, 18)]
    tcb.append(field(arc + "2.18", tlv(4, bytes(16))))
    return sequence(
        field(arc + "1", tlv(4, bytes(16))),
        field(arc + "2", sequence(*tcb)),
        field(arc + "3", tlv(4, bytes(2))),
        field(arc + "4", tlv(4, bytes(6))),
        field(arc + "5", tlv(10, b"\x00")),
    )


def snp():
    reports = [report(2, b"\0\0"), report(3, b"\x19\x11"), report(5, b"\x1a\x02")]
    arc = "1.3.6.1.4.1.3704.1."
    places = {"2": tlv(0x16, b"Genoa"), "4": bytes(64)}
    places |= {f"3.{number}": tlv(2, bytes([number])) for number in (1, 2, 3, 8)}
    vcek = certificate("SEV-VCEK", [(arc + place, value) for place, value in places.items()])
    names = ["1", "2", "3.1", "3.2", "3.3", "3.8", "3.9", "4", "5"]
    listed = b"".join(
        bytes([names.index(place), len(value)]) + value for place, value in places.items()
    )
    turin = listed + bytes([6]) + b"\x03\x02\x01\x01"
    loaded = bytes([1, 9]) + tlv(0x16, b"Milan-B") + bytes([8, 7]) + tlv(0x16, b"cloud")
    return [
        *((0, each) for each in reports),
        (1, cbor({1: reports[0]})),
        (1, cbor({1: reports[1], 2: [vcek], 3: b"\x30\x00"})),
        (2, listed),
        (2, turin),
        (2, loaded),
        (3, vcek),
    ]


def report(version, product):
    made = bytearray(0x4A0)
    made[0:4] = struct.pack("<I", version)
    made[8:16] = struct.pack("<Q", 0x30000)
    made[0x34:0x38] = struct.pack("<I", 1)
    made[0x188:0x18A] = product
    return bytes(made)


def nitro():
    document = {"pcrs": {0: bytes(48), 1: bytes(48)}, "digest": "SHA384", "module_id": "i-0-enc0"}
    document |= {"timestamp": 1_780_000_000_000, "certificate": certificate("enclave")}
    document |= {"cabundle": [certificate("root")], "public_key": b"\0", "user_data": bytes(64)}
    payload = cbor(document | {"nonce": bytes(48)})
    envelope = cbor([b"\xa1\x01\x38\x22", {}, payload, bytes(96)])
    return [
        (0, envelope),
        (0, b"\xd2" + envelope),
        (1, payload),
        (1, b"\xbf" + cbor(document | {"nonce": None})[1:] + b"\xff"),
        (2, bytes.fromhex("bf02018001ff")),
        (2, bytes.fromhex("a2820102039f01bf0102ffff20")),
    ]


def certificate(name, extensions=()):
    algorithm = sequence(identifier("1.2.840.10045.4.3.3"))
    subject = sequence(tlv(0x31, sequence(identifier("2.5.4.3"), tlv(0x0C, name.encode()))))
    validity = sequence(tlv(0x17, b"260101000000Z"), tlv(0x17, b"360101000000Z"))
    curve = sequence(identifier("1.2.840.10045.2.1"), identifier("1.3.132.0.34"))
    parts = [tlv(0xA0, tlv(2, b"\x02")), tlv(2, b"\x01"), algorithm, subject, validity, subject]
    parts.append(sequence(curve, tlv(3, b"\0" + POINT)))
    if extensions:
        listed = [field(name, tlv(4, value)) for name, value in extensions]
        parts.append(tlv(0xA3, sequence(*listed)))
    signature = sequence(tlv(2, b"\x01"), tlv(2, b"\x01"))
    return sequence(sequence(*parts), algorithm, tlv(3, b"\0" + signature))


def pem(der):
    return (
        b"-----BEGIN CERTIFICATE-----\n"
        + base64.encodebytes(der)
        + b"-----END CERTIFICATE-----\n"
    )


def field(dotted, value):
    return sequence(identifier(dotted), value)


def sequence(*parts):
    return tlv(0x30, b"".join(parts))


def tlv(tag, content):
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def identifier(dotted):
    first, second, *rest = map(int, dotted.split("."))
    body = b""
    for arc in [first * 40 + second, *rest]:
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(arc & 0x7F | 0x80)
        body += bytes(reversed(groups))
    return tlv(6, body)


def cbor(value):
    match value:
        case None:
            return b"\xf6"
        case int():
            return head(0, value)
        case bytes():
            return head(2, len(value)) + value
        case str():
            return head(3, len(value.encode())) + value.encode()
        case list():
            return head(4, len(value)) + b"".join(map(cbor, value))
        case dict():
            pairs = [cbor(key) + cbor(item) for key, item in value.items()]
            return head(5, len(value)) + b"".join(pairs)


def head(major, number):
    if number < 24:
        return bytes([major << 5 | number])
    for code, form in ((24, ">B"), (25, ">H"), (26, ">I"), (27, ">Q")):
        if number < 1 << 8 * struct.calcsize(form):
            return bytes([major << 5 | code]) + struct.pack(form, number)
    raise ValueError(number)


if __name__ == "__main__":
    main()
