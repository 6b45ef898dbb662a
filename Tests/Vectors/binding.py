"""Writes binding.json: worked values for the formulas of the attested channel, by hashlib alone."""

import hashlib
import json
import os
import struct


def h(name, data):
    return hashlib.new(name, data).digest()


def tag(name):
    return b"ratel-attest/1 " + name.encode() + b"\0"


def connection(seed, role, seq, peer):
    body = bytes.fromhex("a3015820") + h("sha256", seed + b"n") + bytes.fromhex("0281030380")
    c = h("sha256", tag("challenge") + body)
    spki, config = h("sha256", seed + b"spki"), h("sha384", seed + b"config")
    peer_hash = h("sha256", seed + b"peer") if peer else bytes(32)
    n_att, ekm = h("sha256", seed + b"att"), h("sha256", seed + b"ekm")
    base = h(
        "sha512",
        tag("base")
        + bytes([role])
        + struct.pack(">I", seq)
        + spki
        + peer_hash
        + c
        + n_att
        + ekm
        + config,
    )
    return {
        "role": role,
        "seq": seq,
        "challenge_body": body.hex(),
        "C": c.hex(),
        "spki_sha256": spki.hex(),
        "peer_spki_sha256": peer_hash.hex(),
        "n_att": n_att.hex(),
        "ekm": ekm.hex(),
        "config_sha384": config.hex(),
        "base": base.hex(),
        "leaf": h("sha384", tag("leaf") + base).hex(),
    }


def climb(leaves):
    """Root, and for each leaf its path and sides."""
    paths, places = [([], 0) for _ in leaves], [[i] for i in range(len(leaves))]
    level = list(leaves)
    while len(level) > 1:
        above, above_places = [], []
        for i in range(0, len(level), 2):
            if i + 1 == len(level):
                above.append(level[i])
                above_places.append(places[i])
                continue
            for mine, other, left in ((i, i + 1, 0), (i + 1, i, 1)):
                for leaf in places[mine]:
                    path, sides = paths[leaf]
                    paths[leaf] = (path + [level[other].hex()], sides | left << len(path))
            above.append(h("sha384", tag("node") + level[i] + level[i + 1]))
            above_places.append(places[i] + places[i + 1])
        level, places = above, above_places
    return level[0], paths


def case(name, connections, sub):
    top, paths = climb([bytes.fromhex(c["leaf"]) for c in connections])
    binding = h("sha256", name.encode())
    root = h("sha384", tag("root") + top + binding)
    lines = sorted(bytes([k]) + struct.pack(">H", i) + h("sha384", e) for k, i, e in sub)
    manifest = struct.pack(">H", len(lines)) + b"".join(lines)
    digest = h("sha384", manifest)
    for c, (path, sides) in zip(connections, paths):
        base = bytes.fromhex(c["base"])
        c.update(
            path=path,
            sides=sides,
            evidence_tbs=(tag("evidence") + base + digest).hex(),
            lease_tbs=(tag("lease") + base).hex(),
        )
    return {
        "name": name,
        "connections": connections,
        "binding_key_spki_sha256": binding.hex(),
        "sub_evidence": [{"kind": k, "index": i, "evidence": e.hex()} for k, i, e in sub],
        "merkle_root": top.hex(),
        "root": root.hex(),
        "gpu_0": h("sha256", tag("gpu") + struct.pack(">I", 0) + root).hex(),
        "gpu_1": h("sha256", tag("gpu") + struct.pack(">I", 1) + root).hex(),
        "tpm": h("sha256", tag("tpm") + root).hex(),
        "manifest": manifest.hex(),
        "report_data": h("sha512", tag("cpu") + root + digest).hex(),
    }


CASES = [
    case("alone", [connection(b"a", 0, 0, False)], []),
    case("client", [connection(b"b", 1, 7, True)], [(3, 0, b"tpm")]),
    case(
        "five",
        [connection(bytes([i]), i % 2, i, i > 2) for i in range(5)],
        [(3, 0, b"tpm"), (2, 1, b"second"), (2, 0, b"first")],
    ),
    case("eleven", [connection(bytes([40 + i]), 0, 0, True) for i in range(11)], []),
]
TARGET = os.path.join(os.path.dirname(os.path.abspath(__file__)), "binding.json")
with open(TARGET, "w") as out:
    json.dump({"cases": CASES}, out, indent=1)
    out.write("\n")
