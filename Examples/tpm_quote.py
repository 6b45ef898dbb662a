"""Checks a TPM 2.0 quote as Ratel carries it: `check(fields, qualifying_data, pins)`.

A quote with another attestation key, over other data or other registers raises.
"""

import hashlib

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils


# TPM 2.0 Library part 2. 000b is SHA-256, 0018 ECDSA; whatever is read below is of fixed size in a
# key over P-256, but for the halves of the signature. The pinned Name is a hash over the whole
# public area: with it the key is one that the TPM made, keeps, and signs nothing from outside with.
def check(fields, qualifying_data, pins):
    attest, signature, area, registers = fields[1], fields[2], fields[3], fields[5]
    if b"\0\x0b" + hashlib.sha256(area).digest() != bytes.fromhex(pins["ak"]):
        raise ValueError("another attestation key than the pinned one")
    if signature[:4] != b"\0\x18\0\x0b":
        raise ValueError("a signature that is not ECDSA with SHA-256")
    half = 6 + int.from_bytes(signature[4:6], "big")
    pair = (int.from_bytes(n, "big") for n in (signature[6:half], signature[half + 2 :]))
    point = b"\4" + area[-66:-34] + area[-32:]
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    key.verify(utils.encode_dss_signature(*pair), attest, ec.ECDSA(hashes.SHA256()))
    # TPM_GENERATED, a quote, by a Name of 34 bytes; then the qualifying data; then one bank, its
    # registers and their digest. Between them are clock, counters and firmware, not pinned here.
    bits = sum(1 << register for register in registers).to_bytes(3, "little")
    values = hashlib.sha256(b"".join(registers[index] for index in sorted(registers))).digest()
    if attest[:8] != b"\xffTCG\x80\x18\0\x22" or attest[42:76] != b"\0\x20" + qualifying_data:
        raise ValueError("a quote that is not of this connection")
    if attest[101:] != b"\0\0\0\1\0\x0b\3" + bits + b"\0\x20" + values:
        raise ValueError("other registers than those that were quoted")
    if not pins["pcrs"]:
        raise ValueError("no register is pinned")
    for index, value in pins["pcrs"].items():
        if registers.get(int(index), b"").hex() != value:
            raise ValueError(f"PCR {index} is {registers.get(int(index), b'').hex()}, not {value}")
