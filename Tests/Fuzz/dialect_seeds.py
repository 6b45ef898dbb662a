"""Writes the seeds of the target Dialects: what other systems write, signed by nobody."""

import base64
import gzip
import hashlib
import json
import pathlib
import struct
import sys

from seeds import cbor, quote, write

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "Support"))

from dialects import (  # noqa: E402
    EVENTS, RUNTIME, TINFOIL, flashbots_message, media, message_pack, scale, scale_list)

NONCE = bytes(32)
# The key of FuzzCertificates: the base point of P-256, SEC 2 section 2.4.2.
FORGED = bytes.fromhex(
    "3059301306072a8648ce3d020106082a8648ce3d030107034200046b17d1f2e12c4247f8bce6e563a440f277037d81"
    "2deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5")


def main():
    write("Dialects", seeds())


def seeds():
    covered = hashlib.sha256(claims()).digest() + bytes(32)
    data = hashlib.sha512(b"ratls-cert:" + FORGED).digest()
    plain, ccc = quote(4, 0x81, bytes(520) + data), quote(4, 0x81, bytes(520) + covered)
    older = quote(4, 0x81, bytes(520) + hashlib.sha256(FORGED).digest() + bytes(32))
    own = scale_list([scale(event.encode()) + scale(payload) for event, payload in EVENTS])
    log = scale_list([
        struct.pack("<II", 3, RUNTIME) + scale(b"") + scale(event.encode()) + scale(payload)
        for event, payload in EVENTS])
    tail = own + data + scale(b"{}")
    pack = {
        "version": 1,
        "platform": {"kind": "tdx", "data": {"quote": list(plain[:700]), "event_log": []}},
        "stack": {"kind": "dstack", "data": {
            "report_data": data, "runtime_events": [], "config": ""}}}
    report = bytes([3]) + bytes(0x33) + b"\1" + bytes(0x4A0 - 0x35)
    evidence = cbor([media("tdx"), plain, 4])
    text = json.dumps([media("tdx"), base64.urlsafe_b64encode(plain).decode().rstrip("="), 4])
    return [
        (0, b"\0\0" + scale(plain) + log + tail),
        (0, b"\0\1" + scale(plain) + log + scale(b"m") + scale(b"s") + scale_list([])
         + scale(b"c") + b"\1" + scale_list([]) + tail),
        (0, b"\0\2" + scale(b"\x84\x44") + tail),
        (0, b"\0\3" + scale(report) + scale_list([scale(b"0")]) + scale(b"{}") + tail),
        (0, message_pack(pack)),
        (1, message_pack(pack)),
        (1, b"\x86" + b"".join(
            b"\xa1" + bytes([97 + place]) + item for place, item in enumerate(
                (b"\xc0", b"\xc3", b"\xd1\xff\0", b"\xcf" + bytes(8), b"\xc4\1\7", b"\x91\xe0")))),
        (2, gzip.compress(b"hello hello hello" * 9, mtime=0)),
        (2, gzip.compress(json.dumps(list(range(300))).encode(), mtime=0)[10:-8]),
        (3, octets(0x04, cbor({"1.0": [media("tdx"), plain, 4]}))),
        (3, octets(0x04, evidence)),
        (3, octets(0x0C, text.encode())),
        (4, b"\xd9\xea\x60" + cbor([ccc, claims()])),
        (4, b"\xd9\xea\x60" + cbor([cbor({1: report}), claims()])),
        (4, b"\xd9\xea\x62" + cbor([plain, claims()])),
        (5, json.dumps({
            "format": TINFOIL + "predicate/tdx-guest/v2",
            "body": base64.b64encode(gzip.compress(older, mtime=0)).decode()}).encode()),
        (5, tinfoil(plain)),
        (6, near(plain)),
        (7, flashbots_message("dcap-tdx", older)),
        (7, flashbots_message("none", b"")),
    ]


def octets(tag, content):
    return bytes([tag, 0x82]) + struct.pack(">H", len(content)) + content


def claims():
    return cbor({"pubkey-hash": cbor([1, hashlib.sha256(FORGED).digest()])})


def tinfoil(plain):
    def section(name, items):
        text = json.dumps({"format": TINFOIL + name, "items": items})
        return base64.b64encode(text.encode()).decode()

    key = {
        "id": "tls", "format": TINFOIL + "key/spki-fp-sha256/v1",
        "data": hashlib.sha256(FORGED).hexdigest()}
    return json.dumps({
        "format": TINFOIL + "predicate/attestation/v3",
        "challenge": {
            "nonce": NONCE.hex(), "report_data_algorithm": TINFOIL + "report-data/v1"},
        "cpu_evidence": {
            "format": TINFOIL + "format/tdx-quote/v1",
            "report_base64": base64.b64encode(plain).decode()},
        "crypto_material": section("crypto-material/v1", [key]),
        "device_evidence": section("device-evidence/v1", []), "collateral": []}).encode()


def near(plain):
    event = {
        "imr": 3, "event_type": RUNTIME, "digest": "", "event": "app-id", "event_payload": "01"}
    return json.dumps({
        "signing_address": "0x" + "11" * 20, "intel_quote": plain.hex(),
        "nvidia_payload": json.dumps({"nonce": NONCE.hex(), "evidence_list": []}),
        "event_log": json.dumps([event])}).encode()


if __name__ == "__main__":
    main()
