"""Verifies a Ratel server over one TLS connection, then sends a chat on that same connection.

    verify_session.py HOST:PORT PINS.json [PROMPT]

An independent reading of the attested channel: the standard library, `cryptography`, and nothing
of Ratel's. PINS.json says what is believed: `{"ak": NAME, "pcrs": {"4": VALUE, ...},
"configuration": {"access_log": ["off"], ...}}`. Whatever else comes raises before the chat is sent.
"""

import hashlib
import io
import json
import pathlib
import secrets
import struct
import sys

import tls_exporter
import tpm_quote
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key

CBOR, JSON = ({"Content-Type": f"application/{name}"} for name in ("cbor", "json"))


def need(holds, what):
    if not holds:
        raise ValueError(what)


def sha(bits, *parts):
    return hashlib.new(f"sha{bits}", b"".join(parts)).digest()


def tagged(name):
    return b"ratel-attest/1 " + name + b"\0"


# CBOR (RFC 8949) as Evidence has it: numbers, strings, arrays and maps of known length. What is
# not so gives other bytes, and those no signature covers.
def cbor(stream):
    kind, size = divmod(stream.read(1)[0], 32)
    if size > 23:
        size = int.from_bytes(stream.read(1 << size - 24), "big")
    if kind < 4:
        return stream.read(size) if kind else size
    items = [cbor(stream) for _ in range(size << kind - 4)]
    return dict(zip(items[::2], items[1::2])) if kind == 5 else items


# `hashed`: both leaf keys, the challenge, the nonce, the exported secret, the configuration.
def base_of(role, sequence, *hashed):
    return sha(512, tagged(b"base"), struct.pack(">BI", role, sequence), *hashed)


# From this connection's leaf up the tree of those that share the quote; then the binding key.
def root_of(base, path, sides, key_hash):
    need(len(path) <= 16 and not sides >> len(path), "a Merkle path that is not well formed")
    node = sha(384, tagged(b"leaf"), base)
    for step, other in enumerate(path):
        node = sha(384, tagged(b"node"), *((other, node) if sides >> step & 1 else (node, other)))
    return sha(384, tagged(b"root"), node, key_hash)


# GPUs (2) and TPMs (3): the other kinds hold this manifest in their report_data.
def manifest_of(pieces):
    lines = [struct.pack(">BH", k, i) + sha(384, piece) for k, i, piece in pieces if k in (2, 3)]
    return struct.pack(">H", len(lines)) + b"".join(sorted(lines))


# Believes the evidence body for this connection and answers the configuration, or raises.
def check(body, challenge, sequence, secret, spki, pins):
    fields = cbor(io.BytesIO(body))
    nonce, binding, configuration, signature = (fields[index] for index in (1, 3, 6, 8))
    need(len(nonce) == 32 and len(signature) == 64, "a nonce or signature of another length")
    c = sha(256, tagged(b"challenge"), challenge)
    context = c + nonce + struct.pack(">I", sequence)
    ekm = tls_exporter.export(secret, b"EXPERIMENTAL-ratel-attest/1 server", context)
    hashed = (sha(256, spki), bytes(32), c, nonce, ekm, sha(384, configuration))
    base = base_of(0, sequence, *hashed)
    pieces = [(*map(int, label.split(b".")), piece[1]) for label, piece in fields[2].items()]
    text = tagged(b"evidence") + base + sha(384, manifest_of(pieces))
    rs = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    load_der_public_key(binding).verify(encode_dss_signature(*rs), text, ec.ECDSA(hashes.SHA256()))
    root = root_of(base, fields[4], fields[5], sha(256, binding))
    (quote,) = (cbor(io.BytesIO(piece)) for kind, _, piece in pieces if kind == 3)
    tpm_quote.check(quote, sha(256, tagged(b"tpm"), root), pins)
    shown = json.loads(configuration)
    accepted = (shown.get(name) in values for name, values in pins["configuration"].items())
    need(all(accepted), f"the configuration {shown}")
    return shown


def main(place, pins, prompt="Hello!"):
    pins = json.loads(pathlib.Path(pins).read_text())
    web, secret, spki = tls_exporter.connect(place)
    # A challenge for a TPM's Evidence: {1: nonce, 2: [3], 3: []}.
    challenge = b"\xa3\1\x58\x20" + secrets.token_bytes(32) + b"\2\x81\3\3\x80"
    web.request("POST", "/.well-known/ratel/attestation", challenge, CBOR)
    answer = web.getresponse()
    need(answer.status == 200, f"no Evidence: {answer.status} {answer.reason}")
    print("ADMITTED", check(answer.read(), challenge, 0, secret, spki, pins))
    chat = {"model": "default", "messages": [{"role": "user", "content": prompt}]}
    web.request("POST", "/v1/chat/completions", json.dumps(chat), JSON)
    print(web.getresponse().read().decode())


if __name__ == "__main__":
    main(*sys.argv[1:])
