"""Both ends of the protocol as a model: an attested server and a caller that looks at it.

Evidence is a signature by a `Hardware`, which callers know and nobody else has, over report_data
and a measurement. With every defence the model is what Ratel is; attacks are shown to fail against
Ratel and against that, and to succeed once the defence that answers them is gone.
"""

import os

import formulas
from channel import Channel, Listener, Refused, need
from formulas import ALL, CHALLENGE, CLIENT, EVIDENCE, LEASE, ORACLE, RESULT, SERVER

ADMITTED = formulas.frame(RESULT, formulas.encode({1: 0, 2: "", 3: 300}))
GOOD, BAD = b"measurement: good", b"measurement: bad"
QUIET, TALKATIVE = b'{"access_log":"off"}', b'{"access_log":"metadata"}'


class Hardware:
    """What signs Evidence on a machine, and what is measured there."""

    def __init__(self):
        self.key, self.measurement = formulas.new_key(), GOOD
        self.public = formulas.spki(self.key)

    def quote(self, data):
        signed = formulas.sign(self.key, data + self.measurement)
        return formulas.encode({1: data, 2: self.measurement, 3: signed, 4: self.public})


class Attested:
    """One end that attests: a hardware, maybe a TPM beside it, a binding key, what it says of
    itself."""

    def __init__(self, hardware, defences=ALL, configuration=QUIET, tpm=None):
        self.hardware, self.defences, self.configuration = hardware, defences, configuration
        self.tpm, self.binding = tpm, formulas.new_key()
        self.public = formulas.spki(self.binding)

    def answer(self, channel, challenge, sequence):
        """A lease or Evidence for one challenge."""
        asked = formulas.decode(challenge)
        nonce = os.urandom(32)
        value = formulas.base(
            self.defences, channel, channel.role, challenge, nonce, self.configuration, sequence)
        known = formulas.sha(256, self.public)
        if known in asked.get(3, []):
            return formulas.frame(LEASE, formulas.encode({
                1: nonce, 3: known, 6: formulas.sha(384, self.configuration),
                8: formulas.sign(self.binding, formulas.to_sign(self.defences, LEASE, value))}))
        return formulas.frame(EVIDENCE, formulas.encode(self.evidence(value, nonce)))

    def evidence(self, value, nonce):
        # Somebody else's connection shares the quote.
        other = formulas.leaf(os.urandom(64))
        root = formulas.quoted_root(formulas.root_of(value, [other], 0), self.public)
        items = {"3.0": self.tpm.quote(formulas.tpm_data(root))} if self.tpm else {}
        listed = listed_of(self.defences, items)
        items["1.0"] = self.hardware.quote(formulas.report_data(root, listed))
        signed = formulas.to_sign(self.defences, EVIDENCE, value, listed)
        return {
            1: nonce, 2: items, 3: self.public, 4: [other], 5: 0, 6: self.configuration,
            8: formulas.sign(self.binding, signed),
        }


def listed_of(defences, items):
    return formulas.manifest(items) if "manifest" in defences else formulas.CPU_ALONE


class Server(Listener):
    """Serves each connection: the exchange, and then an answer to whatever is asked."""

    def __init__(self, identity, attested, asks=None, caller=None):
        self.identity, self.attested, self.asks = identity, attested, asks
        self.caller = caller
        self.heard, self.refusals = [], []
        super().__init__()

    def serve(self, plain):
        try:
            channel = Channel.of(plain, self.identity, self.caller)
            self.exchange(channel)
            self.speak(channel)
            channel.close()
        except (Refused, OSError, AssertionError) as reason:
            self.refusals.append(str(reason))
            plain.close()

    def exchange(self, channel):
        own = self.asks.challenge() if self.asks else formulas.encode({})
        channel.send(formulas.frame(CHALLENGE, own))
        kind, challenge = channel.frame()
        if kind == ORACLE and "oracle" not in self.attested.defences:
            # The weakness itself: it quotes what it is told to.
            value, nonce = challenge[:64], challenge[64:]
            channel.send(formulas.frame(
                EVIDENCE, formulas.encode(self.attested.evidence(value, nonce))))
            raise Refused("quoted what it was told to")
        need(kind == CHALLENGE, f"frame {kind} in place of a challenge")
        if self.asks and "reflection" in self.attested.defences:
            need(formulas.decode(challenge).get(1) != formulas.decode(own)[1], "a reflection")
        if formulas.decode(challenge):
            channel.send(self.attested.answer(channel, challenge, 0))
            kind, result = channel.frame()
            need(kind == RESULT and formulas.decode(result)[1] == 0, "the caller refused")
        if self.asks:
            kind, body = channel.frame()
            self.asks.judge(channel, own, kind, body, 0)
            channel.send(ADMITTED)

    def speak(self, channel):
        """Hears one request, unless the caller asks for Evidence once more before it."""
        first = channel.exactly(1)
        sequence = 1
        while first == bytes([CHALLENGE]):
            challenge = channel.exactly(int.from_bytes(channel.exactly(3), "big"))
            channel.send(self.attested.answer(channel, challenge, sequence))
            sequence += 1
            kind, _ = channel.frame()
            need(kind == RESULT, "no result")
            first = channel.exactly(1)
        self.heard.append(first + channel.some())
        channel.send(b"an answer")


class Verifier:
    """What one end believes: a hardware, TPMs if there have to be any, a measurement, a
    configuration, and what was learned from whom."""

    def __init__(self, hardware, defences=ALL, policy="strict", tpms=()):
        self.hardware, self.defences, self.policy = hardware, defences, policy
        self.tpms, self.known = tpms, {}

    def memory(self, origin):
        """A cache without its key: one drawer for every policy and origin."""
        name = (self.policy, origin) if "cache" in self.defences else ()
        return self.known.setdefault(name, {})

    def challenge(self, origin=None):
        return formulas.encode({1: os.urandom(32), 2: [1], 3: list(self.memory(origin))})

    def judge(self, channel, challenge, kind, body, sequence, origin=None):
        said = formulas.decode(body)
        attester = CLIENT if channel.role == SERVER else SERVER
        if kind == LEASE:
            known = self.memory(origin).get(said[3])
            need(known is not None, "a lease of a key that is not known")
            public, configuration = known
            need(said[6] == formulas.sha(384, configuration), "another configuration")
            value = formulas.base(self.defences, channel, attester, challenge, said[1],
                                  configuration, sequence)
            return check(public, said[8], formulas.to_sign(self.defences, LEASE, value))
        need(kind == EVIDENCE, f"frame {kind} in place of Evidence")
        value = formulas.base(
            self.defences, channel, attester, challenge, said[1], said[6], sequence)
        items = said[2]
        listed = listed_of(self.defences, items)
        if "signature" in self.defences:
            check(said[3], said[8], formulas.to_sign(self.defences, EVIDENCE, value, listed))
        kinds = {"1.0", "3.0"} if self.tpms else {"1.0"}
        need(set(items) == kinds or "kinds" not in self.defences, "a kind is missing")
        root = formulas.quoted_root(formulas.root_of(value, said[4], said[5]), said[3])
        wanted = {"1.0": formulas.report_data(root, listed), "3.0": formulas.tpm_data(root)}
        for kind, quote in items.items():
            self.judge_quote(formulas.decode(quote), kind, wanted[kind])
        need(said[6] == QUIET or self.policy == "lax", "another configuration")
        self.memory(origin)[formulas.sha(256, said[3])] = (said[3], said[6])

    def judge_quote(self, quote, kind, wanted):
        hardware = (self.hardware,) if kind == "1.0" else self.tpms
        need(quote[4] in hardware, "another hardware")
        check(quote[4], quote[3], quote[1] + quote[2])
        need(quote[1] == wanted or "tree" not in self.defences, "Evidence of another connection")
        need(quote[2] == GOOD or self.policy == "lax", "another measurement")


class Victim:
    """A caller with a secret, who tells it to whom its verifier admits; to anybody without."""

    SECRET = b"my most private thought"

    def __init__(self, verifier, identity=None, attested=None):
        self.verifier, self.identity, self.attested = verifier, identity, attested

    def call(self, port, origin=None, again=0):
        """Admitted, with the answer; or refused, with the reason."""
        channel = Channel.to(port, self.identity)
        try:
            challenge = self.verifier.challenge(origin) if self.verifier else formulas.encode({})
            channel.send(formulas.frame(CHALLENGE, challenge))
            kind, theirs = channel.frame()
            need(kind == CHALLENGE, "no challenge")
            if self.verifier:
                kind, body = channel.frame()
                self.verifier.judge(channel, challenge, kind, body, 0, origin)
                channel.send(ADMITTED)
            if formulas.decode(theirs) and self.attested:
                channel.send(self.attested.answer(channel, theirs, 0))
                need(channel.frame()[0] == RESULT, "no result")
            for sequence in range(1, again + 1):
                challenge = self.verifier.challenge("nobody is known here")
                channel.send(formulas.frame(CHALLENGE, challenge))
                kind, body = channel.frame()
                self.verifier.judge(channel, challenge, kind, body, sequence, origin)
                channel.send(ADMITTED)
            channel.send(self.SECRET)
            return True, channel.some()
        except (Refused, OSError) as reason:
            return False, str(reason)
        finally:
            channel.close()


def check(public, signature, text):
    try:
        formulas.verify(public, signature, text)
    except Exception as error:
        raise Refused("a signature over something else") from error
