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


UNIT = 1 << 16


def score(request, one):
    """Receipts.md, "The weights", as it is written there."""
    def penalty(measured, limit):
        if limit == 0 or measured <= limit:
            return UNIT
        return min(16 * UNIT, measured * UNIT // limit)
    top = max(1, one["cost_nusd"]) * 1024 * one["inflation"] \
        * penalty(one["first_us"], request["first_us"]) * penalty(one["gap_us"], request["gap_us"])
    return min(max(1, top // (max(1, one["success"]) << 32)), 2**52 - 1)


def weigh(request, candidates):
    """The band's weights, and 2 % for those outside; all of these have facts enough."""
    scores = [score(request, one["measures"]) for one in candidates]
    best = min(scores)
    for one, value in zip(candidates, scores):
        inside = 4 * value < 5 * best
        one["reason"] = "band" if inside else "exploration"
        one["weight"] = max(1, (5 * best - 4 * value) * 2**31 // best) if inside else 0
    total = sum(one["weight"] for one in candidates)
    outside = [one for one in candidates if one["reason"] == "exploration"]
    for one in outside:
        one["weight"] = total // (49 * len(outside))


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
                                    "out": 600_000_000 + number * 50_000_000},
            "min_charge": 0, "capacity": {"tpm": 1000, "streams": 10},
            "terms": {"billing": "postpaid", "settlement": "invoice",
                      "cancel_policy": "free" if number == 2 else "counted"},
            "not_before": HOUR * 3600, "not_after": HOUR * 3600 + 3600}

    def cost(self, usage, offer):
        price = offer["price_nusd_per_mtok"]
        total = ((usage["in"] - usage["cached"]) * price["in"]
                 + usage["cached"] * price["cache_read"] + usage["out"] * price["out"])
        return -(-total // 1_000_000)

    def draw(self, receipt, candidates):
        word = hmac.new(SEED, b"ratel/draw/1\0\0" + receipt.encode(), "sha256").digest()[:8]
        rest = int.from_bytes(word, "big") * sum(c["weight"] for c in candidates) >> 64
        for candidate in candidates:
            if rest < candidate["weight"]:
                return candidate["offer_hash"]
            rest -= candidate["weight"]

    def serve(self, receipt, account, tokens=(1000, 200, 77), end="complete", change=None,
              favour=None):
        hashes_ = [digest("ratel/offer/1", offer) for offer in self.offers]
        request = {"by": "score", "expected": {"in": 900, "cached": 200, "out": 70},
                   "first_us": 2_000_000, "gap_us": 40_000}
        candidates = [{"offer_hash": one, "measures": {
            "cost_nusd": self.cost(request["expected"], self.offers[number]["body"]),
            "first_us": 1_900_000 + 200_000 * number, "gap_us": 20_000,
            "success": UNIT - 1000 * number, "inflation": UNIT, "disagreement": 0,
            "facts": 50, "position": 0}} for number, one in enumerate(hashes_)]
        candidates.sort(key=lambda one: one["offer_hash"])
        weigh(request, candidates)
        if favour:
            favour(request, candidates)
        chosen = self.draw(receipt, candidates)
        number = hashes_.index(chosen)
        offer, time = self.offers[number]["body"], HOUR * 3_600_000 + len(self.receipts)
        sequence, previous = self.service[number]
        usage = dict(zip(("in", "cached", "out"), tokens), reasoning=0)
        facts = {
            "receipt_id": receipt, "router": sha256(spki(self.router)), "seq": sequence + 1,
            "prev": previous, "offer_hash": chosen,
            "model": "m", "weights_digest": sha256(b"w"), "request_hash": sha256(b"q"),
            "response_hash": sha256(b"a"), "stream_chain_head": sha256(b"c"), "events": 77,
            "usage": usage, "end": end, "started_ms": time, "first_ms": time, "ended_ms": time}
        signed = sign("ratel/service/1", facts, self.providers[number])
        self.service[number] = (sequence + 1, digest("ratel/service/1", signed))
        free = offer["terms"]["cancel_policy"] == "free"
        paid = end == "complete" or end == "cancelled" and not free
        body = {
            "receipt_id": receipt, "seq": len(self.receipts) + 1,
            "prev": digest("ratel/receipt/1", self.receipts[-1]) if self.receipts else ZEROS,
            "account": account, "service": signed, "offer_hash": chosen,
            "price_nusd_per_mtok": offer["price_nusd_per_mtok"], "min_charge": 0, "usage": usage,
            "cost_nusd": self.cost(usage, offer) if paid else 0,
            "attempts": [{"offer_hash": chosen, "outcome": "served"}],
            "policy_hash": sha256(b"p"), "end": end, "time_ms": time,
            "candidates_root": merkle([canonical(one) for one in [request, *candidates]]).hex(),
            "seed_commitment": sha256(b"ratel/seed/1\0" + SEED)}
        if change:
            change(body)
        self.receipts.append(sign("ratel/receipt/1", body, self.router))
        self.decisions.append(
            {"receipt_id": receipt, "request": request, "candidates": candidates})
        return body["cost_nusd"]

    def export(self, folder):
        hour = pathlib.Path(folder) / "2027-01-15T08-00-00Z"
        hour.mkdir(parents=True)
        decisions = [json.dumps(one) for one in self.decisions]
        root = {
            "start_ms": HOUR * 3_600_000, "period_ms": 3_600_000,
            "count": len(self.receipts), "first_seq": 1, "last_seq": len(self.receipts),
            "seeds": [SEED.hex()],
            "receipts_root": merkle([
                bytes.fromhex(digest("ratel/receipt/1", one)) for one in self.receipts]).hex(),
            "decisions_root": merkle([one.encode() for one in decisions]).hex(),
            # Its providers are keys alone.
            "evidence_root": merkle([]).hex()}
        lines = {"receipts.jsonl": [json.dumps(one) for one in self.receipts],
                 "decisions.jsonl": decisions,
                 "offers.jsonl": [json.dumps(one) for one in self.offers],
                 "evidence.jsonl": [],
                 "root.json": [json.dumps(sign("ratel/export/1", root, self.router))]}
        for name, entries in lines.items():
            (hour / name).write_text("".join(line + "\n" for line in entries))
        key = pathlib.Path(folder) / "router.pem"
        key.write_bytes(self.router.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        return hour, key
