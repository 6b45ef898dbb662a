"""A sidecar that is attested and signs what a test has it sign."""

import copy
import hashlib
import json
import pathlib
import subprocess
import sys
import threading
import time

from cryptography.hazmat.primitives.asymmetric import ec

from bookkeeper import ZEROS, digest, sha256, sign, spki

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "Attacks"))

import formulas  # noqa: E402
from channel import Channel, Identity, Listener, Refused  # noqa: E402
from formulas import CHALLENGE, EVIDENCE, RESULT, SERVER, frame  # noqa: E402
from turned import MEDIA  # noqa: E402

from scripted import DONE, counts, final, piece  # noqa: E402

WEIGHTS = "33" * 32
USAGE = {"in": 3, "cached": 0, "out": 1, "reasoning": 0}


class LyingSidecar(Listener):
    """`lie(facts)` changes what is signed of an answer; `shown` is what its Evidence says of it.

    `how` may hold: "signer" (another key), "trailer" (none), "kept" (no facts at all), "pieces" (of
    a stream), "pause" (seconds between them)."""

    def __init__(self, folder, name="liar"):
        self.name, self.lie, self.how, self.facts = name, None, {}, {}
        self.folder = pathlib.Path(folder)
        self.identity = identity(self.folder, name)
        self.hardware, self.binding = formulas.new_key(), formulas.new_key()
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.shown = {"access_log": "off", "receipt_key": sha256(spki(self.key)), "use": "serve"}
        self.sequence, self.previous = 0, ZEROS
        self.offers, self.lock = [self.offer()], threading.Lock()
        super().__init__()

    # What a market of the tests asks of a provider.

    @property
    def engine(self):
        return self

    @property
    def faults(self):
        return self.how

    def close(self):
        self.listener.close()

    # Offers and facts.

    def offer(self, **changes):
        now = int(time.time())
        body = {
            "offer_id": "o", "seq": 1, "keyset_digest": sha256(spki(self.key)),
            "measurement": sha256(b"m"), "region": "here", "retention": "none",
            "model": {"id": "tiny", "weights_digest": WEIGHTS, "quantization": "none"},
            "price_nusd_per_mtok": {"in": 1_000_000, "cache_read": 1_000_000, "out": 1_000_000},
            "min_charge": 0, "capacity": {"tpm": 10**6, "streams": 64},
            "terms": {"billing": "postpaid", "settlement": "invoice",
                      "cancel_policy": "counted"},
            "not_before": now - 5, "not_after": now + 3000} | changes
        return sign("ratel/offer/1", body, self.how.get("signer") or self.key)

    def signed(self, fields, request, pieces):
        head = hashlib.sha256(b"ratel/stream/1" + hashlib.sha256(request).digest()).digest()
        for number, event in enumerate(pieces, 1):
            head = hashlib.sha256(head + number.to_bytes(8, "big")
                                  + hashlib.sha256(event).digest()).digest()
        now, receipt = int(time.time() * 1000), fields.get("x-ratel-receipt-id", "")
        facts = {
            "receipt_id": receipt, "router": fields.get("x-ratel-router", ""),
            "seq": self.sequence + 1, "prev": self.previous,
            "offer_hash": fields.get("x-ratel-offer", ""), "model": "tiny",
            "weights_digest": WEIGHTS,
            "request_hash": sha256(request), "response_hash": sha256(b"".join(pieces)),
            "stream_chain_head": head.hex(), "events": len(pieces), "usage": dict(USAGE),
            "end": "complete", "started_ms": now, "first_ms": now, "ended_ms": now}
        if self.lie:
            self.lie(facts)
        statement = sign("ratel/service/1", facts, self.how.get("signer") or self.key)
        self.sequence, self.previous = self.sequence + 1, digest("ratel/service/1", statement)
        self.facts[receipt] = statement
        return statement

    # The wire.

    def serve(self, plain):
        try:
            channel = Channel.of(plain, self.identity)
            channel.send(frame(CHALLENGE, formulas.encode({})))
            kind, challenge = channel.frame()
            assert kind == CHALLENGE
            channel.send(self.evidence(channel, challenge, 0))
            assert channel.frame()[0] == RESULT
            sequence = 1
            while True:
                if not channel.buffer:
                    channel.buffer = channel.some()
                if not channel.buffer:
                    return
                if channel.buffer[0] == CHALLENGE:
                    channel.send(self.evidence(channel, channel.frame()[1], sequence))
                    sequence += 1
                    assert channel.frame()[0] == RESULT
                else:
                    self.answer(channel, *read(channel))
        except (Refused, OSError, AssertionError):
            plain.close()

    def evidence(self, channel, challenge, sequence):
        nonce, shown = bytes([sequence]) * 32, json.dumps(self.shown).encode()
        value = formulas.base(formulas.ALL, channel, SERVER, challenge, nonce, shown, sequence)
        public = formulas.spki(self.binding)
        data = formulas.report_data(formulas.quoted_root(formulas.leaf(value), public))
        quote = formulas.encode({
            1: data, 2: formulas.spki(self.hardware),
            3: formulas.sign(self.hardware, formulas.tag("simulated") + data)})
        return frame(EVIDENCE, formulas.encode({
            1: nonce, 2: {"255.0": [MEDIA, quote, 4]}, 3: public, 4: [], 5: 0, 6: shown,
            8: formulas.sign(self.binding, formulas.to_sign(formulas.ALL, EVIDENCE, value))}))

    def answer(self, channel, method, target, fields, body):
        if target.endswith("/offers"):
            models = [{"id": "tiny", "context_length": 4096, "parameters": []}]
            return channel.send(document({"offers": self.offers, "models": models}))
        if method == "GET":
            found = self.facts.get(target.rsplit("/", 1)[1])
            if not found or "kept" in self.how:
                return channel.send(document({}, 404))
            return channel.send(document(found))
        pieces = self.how.get("pieces") or [
            piece(" a"), final(counts(USAGE["in"], USAGE["out"])), DONE]
        with self.lock:
            statement = self.signed(fields, body, copy.copy(pieces))
        channel.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                     b"Transfer-Encoding: chunked\r\n\r\n")
        for number, event in enumerate(pieces):
            time.sleep(self.how.get("pause", 0) if number else self.how.get("first", 0))
            channel.send(f"{len(event):x}\r\n".encode() + event + b"\r\n")
        trailer = b"" if {"trailer", "kept"} & set(self.how) else \
            b"ratel-service: " + json.dumps(statement).encode() + b"\r\n"
        channel.send(b"0\r\n" + trailer + b"\r\n")


def read(channel):
    """One request, framed by its length."""
    while b"\r\n\r\n" not in channel.buffer:
        more = channel.tls.recv(65536)
        if not more:
            raise Refused("the caller ended")
        channel.buffer += more
    head, channel.buffer = channel.buffer.split(b"\r\n\r\n", 1)
    line, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = line.split(" ", 2)
    fields = {name.lower(): value.strip() for name, value in
              (each.split(":", 1) for each in lines)}
    return method, target, fields, channel.exactly(int(fields.get("content-length", 0)))


def document(value, status=200):
    body = json.dumps(value).encode()
    return (f"HTTP/1.1 {status} Words\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body


def identity(folder, name):
    key, leaf = folder / f"{name}.key", folder / f"{name}.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", key, "-out", leaf, "-subj", f"/CN={name}", "-days", "2"],
        check=True, capture_output=True)
    return Identity(key, leaf)
