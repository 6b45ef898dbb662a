"""What Evidence is made of: signatures with one meaning, a tree, and nobody else's data."""

import contextlib
import json
import os

import formulas
from case import SECRET, Process, free_port, say, wait_until
from channel import Channel, exchanged
from formulas import CHALLENGE, EVIDENCE, LEASE, ORACLE, frame
from middle import Middle
from model import BAD
from proxied_pair import document
from relay import Relay
from rows import row
from third_party import Caller
from wire import get


@row("the signature in Evidence replayed as a lease")
def attack_labels(place):
    """The server is no longer what it was, which its Evidence says; the thief makes a lease of the
    Evidence's signature, which says nothing of measurements."""
    learned = {}

    def stripped(direction, kind, body):
        if direction == "out" and kind == CHALLENGE:
            # So that the server sends Evidence where a lease would have done.
            asked = formulas.decode(body)
            learned["keys"] = asked[3]
            return [frame(kind, formulas.encode({**asked, 3: []}))]
        if direction == "in" and kind == EVIDENCE:
            said = formulas.decode(body)
            return [frame(LEASE, formulas.encode({
                1: said[1], 3: formulas.sha(256, said[3]), 6: formulas.sha(384, said[6]),
                8: said[8]}))]
        return [frame(kind, body)]

    def against(missing):
        server, victim = place.model(*missing)
        assert victim.call(server.port)[0]
        server.attested.hardware.measurement = BAD
        with Middle(place.servers, server.port, stripped) as middle:
            victim.call(middle.port)
            assert learned["keys"]
            return middle.heard

    # M is signed in Evidence alone; without the labels the model signs the base in both.
    assert against([]) == b""
    assert against(["exporter", "challenge"]) == b""
    assert against(["exporter", "challenge", "labels"]) == SECRET
    # Against Ratel: the caller knows the server through an honest way, which is then taken over.
    tpm = place.tpm()
    port, _ = place.serve(tpm)
    policy = place.init(port)
    with Middle(place.servers, port, stripped) as middle, Relay(port) as way:
        through, process = place.connect(way.port, policy)
        assert say(through)[0] == 200
        way.target = middle.port
        way.cut()
        status, body = say(through)
        assert status == 502 and "binding.lease.invalid" in body, (body, middle.troubles)
        assert learned["keys"] and middle.heard == b""


@row("a lease taken for another policy, origin or role")
def attack_cache(place):
    """A caller has two servers with two policies, and its connections to the strict one are led to
    the other, which it knows already."""

    def against(missing):
        server, victim = place.model(*missing)
        server.attested.hardware.measurement = BAD
        victim.verifier.policy = "lax"
        assert victim.call(server.port, "one")[0]
        victim.verifier.policy = "strict"
        return victim.call(server.port, "two")[0]

    assert not against([])
    assert against(["cache"])
    port, _ = place.serve(place.tpm())
    lax = place.init(port)
    strict = place.write(changed(lax))
    lax = place.write(lax)
    # Ratel as a proxy with two backends: the same server behind both, which only one may be.
    for second, wanted in ((strict, 502), (lax, 200)):
        with pair(place, port, lax, port, second) as (front, proxy):
            for _ in range(2):
                assert get(front, "/lax").status == 200, proxy.text()[-2000:]
            assert get(front, "/strict").status == wanted, proxy.text()[-2000:]
    listed = []
    with Middle(place.thiefs, None, listening(listed)) as other, Relay(port) as way:
        with pair(place, way.port, lax, other.port, lax) as (front, proxy):
            assert get(front, "/lax").status == 200
            # One origin hears nothing of the binding keys of another, which it could lease by.
            assert get(front, "/strict").status == 502
            assert listed == [[]], listed
            way.target = other.port
            way.cut()
            wait_until(lambda: get(front, "/lax").status == 502, 10, "the other server")
            assert len(listed[-1]) == 1, listed
    # A policy that was replaced: whom it does not want has no lease under the former one.
    with Relay(port) as way:
        through, process = place.connect(way.port, lax.read_text())
        assert say(through)[0] == 200
        way.cut()
        wait_until(lambda: say(through)[0] == 200, 10, "an answer by a lease")
        assert "lease=true" in process.text()
        process.policy.write_text(strict.read_text())
        wait_until(lambda: "policy replaced" in process.text(), 10, "the new policy")
        way.cut()
        wait_until(lambda: "tpm.pcr.mismatch" in say(through)[1], 10, "the refusal")


def listening(listed):
    """Writes down the binding keys in challenges, and answers nothing of use."""

    def frames(direction, kind, body):
        if kind == CHALLENGE:
            listed.append(formulas.decode(body)[3])
        return [frame(CHALLENGE, formulas.encode({})), frame(EVIDENCE, b"")]

    return frames


@contextlib.contextmanager
def pair(place, one, lax, two, strict):
    """`ratel proxy` with those backends, /lax and /strict; its port and itself."""
    front = free_port()
    file = place.folder / f"pair{front}.json"
    file.write_text(json.dumps(document(front, (one, lax), (two, strict))))
    command = [place.ratel, "proxy", "--config", file]
    with Process(f"pair{front}", command, place.folder) as proxy:
        proxy.wait_for_port(front)
        yield front, proxy


def changed(policy):
    """The same policy with another value for register 4."""
    lines = policy.splitlines()
    place = next(i for i, line in enumerate(lines) if line.strip().startswith("4:"))
    digits = lines[place].split(":", 1)
    lines[place] = digits[0] + ': ["' + "5a" * 32 + '"]'
    return "\n".join(lines) + "\n"


class Forging(Middle):
    """Answers the caller with a quote of the genuine server over another connection. `forge` makes
    of it, and of this connection's base, what is said."""

    def __init__(self, identity, said, forge, defences=formulas.ALL):
        super().__init__(identity)
        self.said, self.forge, self.defences = said, forge, defences

    def on(self, direction, kind, body, near, far):
        value = formulas.base(
            self.defences, near, formulas.SERVER, body, self.said[1], self.said[6], 0)
        evidence = formulas.encode({**self.said, **self.forge(self.said, value)})
        near.send(frame(CHALLENGE, formulas.encode({})) + frame(EVIDENCE, evidence))


def with_path(path, sides):
    return lambda said, value: {4: path, 5: sides}


def by_own_key(path=None, sides=0):
    """The thief signs for this connection by a key of his own: it is the tree, and the hash over
    its root and that key, that has to tell."""
    own = formulas.new_key()

    def forge(said, value):
        listed = formulas.manifest(
            {name: item[1] if isinstance(item, list) else item for name, item in said[2].items()})
        return {
            3: formulas.spki(own), 4: said[4] if path is None else path,
            5: said[5] if path is None else sides,
            8: formulas.sign(own, formulas.to_sign(formulas.ALL, EVIDENCE, value, listed))}

    return forge


def of_own(port):
    """Evidence over a connection of the thief's."""
    return formulas.decode(
        exchanged(port, formulas.encode({1: os.urandom(32), 2: [1, 3], 3: []})))


@row("a forged Merkle proof by a co-batched peer")
def attack_tree(place):
    """A caller whose connection shared a quote shows that quote to somebody else, with a path that
    leads to its root from wherever he stands."""

    def as_it_is(said, value):
        return {}

    own = by_own_key()
    for missing, forge, wanted in (
        ([], as_it_is, b""), (["signature"], as_it_is, b""), (["tree"], as_it_is, b""),
        (["signature", "tree"], as_it_is, SECRET), ([], own, b""), (["signature"], own, b""),
        (["tree"], own, SECRET),
    ):
        server, victim = place.model(*missing)
        said = of_own(server.port)
        with Forging(place.servers, said, forge, victim.verifier.defences) as middle:
            victim.call(middle.port)
            assert middle.heard == wanted, (missing, forge)
    port, _ = place.serve(place.tpm())
    policy = place.init(port)
    said, node = of_own(port), bytes(48)
    for forge, code in (
        (as_it_is, "binding.signature.invalid"),
        (with_path([node], 1), "binding.signature.invalid"),
        (own, "tpm.nonce.mismatch"), (by_own_key([node]), "tpm.nonce.mismatch"),
        (by_own_key([node], 1), "tpm.nonce.mismatch"),
        (by_own_key([node] * 16, 0xFFFF), "tpm.nonce.mismatch"),
        (by_own_key([node], 2), "binding.path.malformed"),
        (by_own_key([], 1), "binding.path.malformed"),
        (by_own_key([node] * 17), "exchange.evidence.malformed"),
    ):
        with Forging(place.servers, said, forge) as middle:
            through, _ = place.connect(middle.port, policy)
            status, body = say(through)
            assert status == 502 and code in body, (code, body)
            assert middle.heard == b""


@row("quoting oracle")
def attack_oracle(place):
    """The thief has the caller's base worked out by his own end of the caller's connection, and
    asks the genuine server to quote that."""

    def against(missing):
        server, victim = place.model(*missing)

        class Oracle(Middle):
            def between(self, near, far):
                kind, challenge = near.frame()
                nonce = os.urandom(32)
                value = formulas.base(
                    server.attested.defences, near, formulas.SERVER, challenge, nonce,
                    server.attested.configuration, 0)
                assert far.frame()[0] == CHALLENGE
                far.send(frame(ORACLE, value + nonce))
                kind, body = far.frame()
                near.send(frame(CHALLENGE, formulas.encode({})) + frame(kind, body))
                self.heard = near.frame() and near.some()

        with Oracle(place.servers, server.port) as middle:
            victim.call(middle.port)
            return middle.heard

    assert against([]) == b""
    assert against(["oracle"]) == SECRET
    # Ratel has no such frame; what its endpoints quote is of the connection that asks them.
    port, _ = place.serve(place.tpm())
    policy = place.init(port)
    for kind in (ORACLE, 0, 7, 255):
        channel = Channel.to(port)
        channel.send(frame(kind, bytes(96)))
        answers = [channel.frame() for _ in range(2)]
        channel.close()
        assert [kind for kind, _ in answers] == [CHALLENGE, formulas.RESULT]
        assert "exchange.frame.unknown" in formulas.decode(answers[1][1])[2]

    class Endpoint(Middle):
        """Has the question of the caller answered by the endpoint for third parties."""

        def on(self, direction, kind, body, near, far):
            with Caller(port) as caller:
                answer = caller.post(body)
            assert answer.status == 200, answer.status
            near.send(frame(CHALLENGE, formulas.encode({})) + frame(EVIDENCE, answer.content))

    with Endpoint(place.servers) as middle:
        through, _ = place.connect(middle.port, policy)
        status, body = say(through)
        assert status == 502 and "binding.signature.invalid" in body, (body, middle.troubles)
        assert middle.heard == b""
    # Whatever the nonce, the same data is never quoted twice, nor on the wish of a caller.
    nonce = os.urandom(32)
    challenge = formulas.encode({1: nonce, 2: [3], 3: []})
    seen = [qualifying_data(exchanged(port, challenge)) for _ in range(2)]
    for _ in range(2):
        with Caller(port) as caller:
            seen += [qualifying_data(caller.post(challenge).content) for _ in range(2)]
    assert len(set(seen)) == 6 and nonce not in seen


def qualifying_data(body):
    """What the TPM was asked to quote, as TPMS_ATTEST has it: behind the magic, the type and the
    signer's name."""
    attest = formulas.decode(formulas.decode(body)[2]["3.0"][1])[1]
    start = 8 + int.from_bytes(attest[6:8], "big")
    size = int.from_bytes(attest[start:start + 2], "big")
    return attest[start + 2:start + 2 + size]
