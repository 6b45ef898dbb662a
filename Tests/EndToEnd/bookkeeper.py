"""An hour of a router's ledger written in Python, from the published formulas alone: what `ratel
audit` reads, by an implementation of its own."""

import hashlib
import hmac
import json
import pathlib

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

HOUR = 500_000
ZEROS = "00" * 32
SEED = hashlib.sha256(b"seed").digest()


def canonical(value):
    """RFC 8785 for what stands here: names in ASCII, whole numbers."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def message(kind, body):
    return kind.encode() + b"\0" + canonical(body)


def spki(key):
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def sign(kind, body, key):
    der = key.sign(message(kind, body), ec.ECDSA(hashes.SHA256()))
    r, s = utils.decode_dss_signature(der)
    raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return {"body": body, "key": spki(key).hex(), "signature": raw.hex()}


def digest(kind, statement):
    return sha256(message(kind, statement["body"]))


def merkle(leaves):
    """RFC 9162 section 2.1.1, as it is written there."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\1" + merkle(leaves[:split]) + merkle(leaves[split:])).digest()


class Bookkeeper:
    def __init__(self):
        self.router = ec.generate_private_key(ec.SECP256R1())
        self.providers = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]
        self.offers = [
            sign("ratel/offer/1", self.offer(number, key), key)
            for number, key in enumerate(self.providers)]
        self.receipts, self.decisions = [], []
        self.service = {number: (0, ZEROS) for number in range(3)}

    def offer(self, number, key):
        return {
            "offer_id": f"offer-{number}", "seq": 1, "keyset_digest": sha256(spki(key)),
            "measurement": sha256(b"measured"), "region": "eu", "retention": "none",
            "model": {"id": "m", "weights_digest": sha256(b"w"), "quantization": "fp8"},
            "price_nusd_per_mtok": {"in": 150_000_001, "cache_read": 15_000_000,
                                    "out": 600_000_000 + number},
            "min_charge": 0, "capacity": {"tpm": 1000, "streams": 10},
            "terms": {"billing": "postpaid", "settlement": "invoice",
                      "cancel_policy": "free" if number == 2 else "counted"},
            "not_before": HOUR * 3600, "not_after": HOUR * 3600 + 3600}

    def draw(self, receipt, candidates):
        word = hmac.new(SEED, b"ratel/draw/1\0\0" + receipt.encode(), "sha256").digest()[:8]
        rest = int.from_bytes(word, "big") * sum(c["weight"] for c in candidates) >> 64
        for candidate in candidates:
            if rest < candidate["weight"]:
                return candidate["offer_hash"]
            rest -= candidate["weight"]

    def serve(self, receipt, account, tokens=(1000, 200, 77), end="complete", change=None):
        hashes_ = [digest("ratel/offer/1", offer) for offer in self.offers]
        candidates = [{"offer_hash": one, "weight": 10 + number, "reason": "band"}
                      for number, one in enumerate(hashes_)]
        candidates.sort(key=lambda one: one["offer_hash"])
        chosen = self.draw(receipt, candidates)
        number = hashes_.index(chosen)
        offer, time = self.offers[number]["body"], HOUR * 3_600_000 + len(self.receipts)
        sequence, previous = self.service[number]
        usage = dict(zip(("in", "cached", "out"), tokens), reasoning=0)
        facts = {
            "receipt_id": receipt, "seq": sequence + 1, "prev": previous, "offer_hash": chosen,
            "model": "m", "weights_digest": sha256(b"w"), "request_hash": sha256(b"q"),
            "response_hash": sha256(b"a"), "stream_chain_head": sha256(b"c"), "events": 77,
            "usage": usage, "end": end, "started_ms": time, "first_ms": time, "ended_ms": time}
        signed = sign("ratel/service/1", facts, self.providers[number])
        self.service[number] = (sequence + 1, digest("ratel/service/1", signed))
        price = offer["price_nusd_per_mtok"]
        total = ((usage["in"] - usage["cached"]) * price["in"]
                 + usage["cached"] * price["cache_read"] + usage["out"] * price["out"])
        free = offer["terms"]["cancel_policy"] == "free"
        paid = end == "complete" or end == "cancelled" and not free
        body = {
            "receipt_id": receipt, "seq": len(self.receipts) + 1,
            "prev": digest("ratel/receipt/1", self.receipts[-1]) if self.receipts else ZEROS,
            "account": account, "service": signed, "offer_hash": chosen,
            "price_nusd_per_mtok": price, "min_charge": 0, "usage": usage,
            "cost_nusd": -(-total // 1_000_000) if paid else 0,
            "attempts": [{"offer_hash": chosen, "outcome": "served"}],
            "policy_hash": sha256(b"p"), "end": end, "time_ms": time,
            "candidates_root": merkle([canonical(one) for one in candidates]).hex(),
            "seed_commitment": sha256(b"ratel/seed/1\0" + SEED)}
        if change:
            change(body)
        self.receipts.append(sign("ratel/receipt/1", body, self.router))
        self.decisions.append({"receipt_id": receipt, "candidates": candidates})
        return body["cost_nusd"]

    def export(self, folder):
        hour = pathlib.Path(folder) / "2027-01-15T08Z"
        hour.mkdir(parents=True)
        decisions = [json.dumps(one) for one in self.decisions]
        root = {
            "hour": HOUR, "count": len(self.receipts), "first_seq": 1,
            "last_seq": len(self.receipts), "seed": SEED.hex(),
            "receipts_root": merkle([
                bytes.fromhex(digest("ratel/receipt/1", one)) for one in self.receipts]).hex(),
            "decisions_root": merkle([one.encode() for one in decisions]).hex()}
        lines = {"receipts.jsonl": [json.dumps(one) for one in self.receipts],
                 "decisions.jsonl": decisions,
                 "offers.jsonl": [json.dumps(one) for one in self.offers],
                 "root.json": [json.dumps(sign("ratel/export/1", root, self.router))]}
        for name, entries in lines.items():
            (hour / name).write_text("".join(line + "\n" for line in entries))
        key = pathlib.Path(folder) / "router.pem"
        key.write_bytes(self.router.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        return hour, key
