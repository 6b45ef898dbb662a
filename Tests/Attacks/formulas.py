"""The formulas of the attested channel once more, each with the defence that it is taken out.

A `Defences` is a set of names. With all of them the two ends below speak what Ratel speaks, over
the same TLS; without one they are the weaker protocol that an attack is to succeed against.
"""

import hashlib
import struct

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import (
    Encoding, PublicFormat, load_der_public_key)

# What a defence is called here, and what it does.
EVERY = {
    "exporter": "EKM, the exporter of this very TLS connection, is in the base",
    "challenge": "C, the hash of the challenge as sent, is in the base and in EKM's context",
    "sequence": "seq is in the base and in EKM's context",
    "keys": "the leaf keys of both ends are in the base",
    "roles": "the role is in the base and in EKM's label",
    "labels": "what is signed in Evidence and in a lease begins with different words",
    "signature": "the binding key signs each evidence frame",
    "tree": "the root is worked out from this connection's base and the path",
    "cache": "a result is remembered under its policy and origin",
    "reflection": "a challenge with one's own nonce is no challenge",
    "oracle": "an attester signs nothing that a caller chose",
    "configuration": "the effective configuration is in the base",
    "manifest": "M, the hashes of what stands beside the CPU's quote, is quoted and signed",
    "kinds": "the policy says which kinds of Evidence there have to be",
}
ALL = frozenset(EVERY)

CHALLENGE, EVIDENCE, LEASE, RESULT, ORACLE = 1, 2, 3, 4, 99
SERVER, CLIENT = 0, 1


def tag(name):
    return b"ratel-attest/1 " + name.encode() + b"\0"


def sha(bits, *parts):
    return hashlib.new(f"sha{bits}", b"".join(parts)).digest()


def base(defences, channel, attester, challenge, nonce, configuration, sequence):
    """The 64 bytes that both ends have to agree on."""
    none = bytes(32)
    c = sha(256, tag("challenge"), challenge) if "challenge" in defences else none
    seq = struct.pack(">I", sequence if "sequence" in defences else 0)
    role = attester if "roles" in defences else SERVER
    label = b"EXPERIMENTAL-ratel-attest/1 " + (b"server", b"client")[role]
    ekm = none
    if "exporter" in defences:
        ekm = channel.export(label, c + nonce + seq)
    own = channel.own_key if channel.role == attester else channel.peer_key
    other = channel.peer_key if channel.role == attester else channel.own_key
    keys = none + none
    if "keys" in defences:
        keys = sha(256, own) + (sha(256, other) if other else none)
    config = sha(384, configuration) if "configuration" in defences else bytes(48)
    return sha(512, tag("base"), bytes([role]), seq, keys, c, nonce, ekm, config)


def leaf(value):
    return sha(384, tag("leaf"), value)


def root_of(value, path, sides):
    node = leaf(value)
    for step, neighbour in enumerate(path):
        pair = neighbour + node if sides >> step & 1 else node + neighbour
        node = sha(384, tag("node"), pair)
    return node


def quoted_root(merkle_root, binding_key):
    return sha(384, tag("root"), merkle_root, sha(256, binding_key))


CPU_ALONE = b"\0\0"


def manifest(items):
    """M of a collection: what is in it beside the Evidence that holds report_data."""
    lines = [bytes([int(kind), 0, int(index)]) + sha(384, body)
             for (kind, index), body in ((key.split("."), body) for key, body in items.items())
             if kind in ("2", "3")]
    return len(lines).to_bytes(2, "big") + b"".join(sorted(lines))


def report_data(root, listed=CPU_ALONE):
    return sha(512, tag("cpu"), root, sha(384, listed))


def tpm_data(root):
    return sha(256, tag("tpm"), root)


def to_sign(defences, kind, value, listed=CPU_ALONE):
    if "labels" not in defences:
        return value
    if kind == EVIDENCE:
        return tag("evidence") + value + sha(384, listed)
    return tag("lease") + value


# MARK: Keys


def new_key():
    return ec.generate_private_key(ec.SECP256R1())


def spki(key):
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def sign(key, text):
    r, s = utils.decode_dss_signature(key.sign(text, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def verify(public, signature, text):
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    key = load_der_public_key(public)
    key.verify(utils.encode_dss_signature(r, s), text, ec.ECDSA(hashes.SHA256()))


def leaf_key(der):
    key = x509.load_der_x509_certificate(der).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


# MARK: Deterministic CBOR, as much of it as frames have


def encode(value):
    if isinstance(value, int):
        return head(0, value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(encode, value))
    items = sorted((encode(key), encode(item)) for key, item in value.items())
    return head(5, len(value)) + b"".join(key + item for key, item in items)


def head(kind, number):
    if number < 24:
        return bytes([kind << 5 | number])
    for more, size in ((24, 1), (25, 2), (26, 4)):
        if number < 1 << 8 * size:
            return bytes([kind << 5 | more]) + number.to_bytes(size, "big")
    raise ValueError(number)


def decode(data):
    value, used = item(data, 0)
    assert used == len(data), "bytes behind the item"
    return value


def item(data, at):
    kind, number, at = data[at] >> 5, data[at] & 31, at + 1
    if number > 23:
        size = 1 << number - 24
        number, at = int.from_bytes(data[at:at + size], "big"), at + size
    if kind == 0:
        return number, at
    if kind in (2, 3):
        piece = data[at:at + number]
        return (piece if kind == 2 else piece.decode()), at + number
    values = []
    for _ in range(number * (kind - 3)):
        value, at = item(data, at)
        values.append(value)
    return (values if kind == 4 else dict(zip(values[::2], values[1::2]))), at


def frame(kind, body):
    return bytes([kind]) + len(body).to_bytes(3, "big") + body
