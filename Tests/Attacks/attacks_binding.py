"""What ties Evidence to one connection: the exporter, the challenge, the keys, the roles."""

import os

import formulas
import turned
from case import ANONYMOUS, SECRET, SIMULATED, say
from channel import Channel, Refused, exchanged
from formulas import CHALLENGE, EVIDENCE, frame
from middle import Middle, passing
from model import ADMITTED, Attested, Hardware, Server, Verifier, Victim
from rows import row


REQUEST = b"GET /whose HTTP/1.1\r\nHost: h\r\n\r\n"
BINDING = "binding.signature.invalid"


def fails_against_ratel(place, identity, *tries):
    """A real server with a TPM, the man in the middle, and a real caller with the right policy;
    each try is what happens to frames, and the code that the caller is told."""
    port, _ = place.serve(place.tpm())
    policy = place.init(port)
    for frames, code in tries:
        with Middle(identity, port, frames) as middle:
            through, _ = place.connect(middle.port, policy)
            status, body = say(through)
            assert status == 502 and code in body, (status, body, middle.troubles)
            assert middle.heard == b"", middle.heard
    # Without the man in the middle the same caller is served.
    direct, _ = place.connect(port, policy)
    assert say(direct)[0] == 200


def outcome(place, missing, frames, identity):
    """The same against the model: what the thief heard."""
    server, victim = place.model(*missing)
    with Middle(identity, server.port, frames) as middle:
        victim.call(middle.port)
        return middle.heard


@row("relay with a stolen leaf key")
def attack_relay(place):
    """The thief has the server's key, and relays the exchange to the genuine server."""
    fails_against_ratel(place, place.servers, (passing, BINDING))
    assert outcome(place, [], passing, place.servers) == b""
    assert outcome(place, ["exporter"], passing, place.servers) == SECRET


@row("stale Evidence on another connection")
def attack_stale(place):
    """Evidence that the thief got for himself, shown to somebody else later."""

    def recorded(port):
        challenge = formulas.encode({1: os.urandom(32), 2: [1, 3], 3: []})
        return frame(EVIDENCE, exchanged(port, challenge))

    def replaying(stale):
        return lambda direction, kind, body: (
            [frame(CHALLENGE, formulas.encode({})), stale] if kind == CHALLENGE else [])

    tpm = place.tpm()
    port, _ = place.serve(tpm)
    policy = place.init(port)
    with Middle(place.servers, None, replaying(recorded(port))) as middle:
        through, _ = place.connect(middle.port, policy)
        status, body = say(through)
        assert status == 502 and BINDING in body, body
        assert middle.heard == b""
    for missing, wanted in (([], b""), (["challenge"], b""), (["exporter"], b""),
                            (["exporter", "challenge"], SECRET)):
        server, victim = place.model(*missing)
        with Middle(place.servers, None, replaying(recorded(server.port))) as middle:
            victim.call(middle.port)
            assert middle.heard == wanted, (missing, middle.heard)


@row("old Evidence on the same connection")
def attack_old(place):
    """A server that was good shows the Evidence of its good days again when it is asked once
    more: on this very connection, where the exporter is the same."""

    class Turned(Attested):
        """Good once; then it replays."""

        first = None

        def answer(self, channel, challenge, sequence):
            if self.first:
                return self.first
            self.first = super().answer(channel, challenge, sequence)
            self.hardware.measurement = b"measurement: bad"
            return self.first

    def call(missing):
        defences = formulas.ALL - frozenset(missing)
        hardware = Hardware()
        with Server(place.servers, Turned(hardware, defences)) as server:
            return Victim(Verifier(hardware.public, defences)).call(server.port, again=1)[0]

    assert not call([])
    assert not call(["challenge"]) and not call(["sequence"])
    assert call(["challenge", "sequence"])
    # Against Ratel: `connect` asks a server again that speaks the frames of HTTP/2 by hand.
    turned.fails_against_ratel(place)


@row("an altered challenge")
def attack_challenge(place):
    """The thief takes out what the caller wanted to see, adds what it would not take, or a key
    that it does not know."""

    def altered(change):
        def frames(direction, kind, body):
            if direction == "out" and kind == CHALLENGE:
                body = formulas.encode(change(formulas.decode(body)))
            return [frame(kind, body)]

        return frames

    fewer = altered(lambda asked: {**asked, 2: asked[2][1:]})
    more = altered(lambda asked: {**asked, 2: asked[2] + [7]})
    known = altered(lambda asked: {**asked, 3: [bytes(32)]})
    # A real server does not even answer who would not take its kind of Evidence.
    fails_against_ratel(
        place, place.servers, (fewer, "peer.refused"), (more, BINDING), (known, BINDING))
    for frames in (fewer, more, known):
        assert outcome(place, [], frames, place.servers) == b""
        # The exporter is not what answers this: without it the challenge's hash still does.
        assert outcome(place, ["exporter"], frames, place.servers) == b""
        assert outcome(place, ["exporter", "challenge"], frames, place.servers) == SECRET


@row("key substitution, client-certificate swap")
def attack_keys(place):
    """The thief has no stolen key, and ends the caller's TLS with one of his own; or he shows a
    server that wants attested callers a certificate of his own beside the caller's Evidence."""
    fails_against_ratel(place, place.thiefs, (passing, BINDING))
    assert outcome(place, [], passing, place.thiefs) == b""
    assert outcome(place, ["exporter"], passing, place.thiefs) == b""
    assert outcome(place, ["exporter", "keys"], passing, place.thiefs) == SECRET

    class Swapping(Middle):
        """Lends the caller's Evidence to a connection of his own."""

        def between(self, near, far):
            far.send(frame(*near.frame()))
            near.send(frame(*far.frame()))
            kind, body = near.frame()
            assert kind == EVIDENCE, kind
            far.send(frame(kind, body))
            self.said = formulas.decode(far.frame()[1])
            if self.said[1] == 0:
                far.send(REQUEST)
                self.heard = far.some()

    port, _ = place.serve(None, SIMULATED)
    callers = ["--attester", "simulated", "--tls-certificate", place.callers.certificate_file,
               "--tls-key", place.callers.key_file]
    with Swapping(place.servers, port, None, place.thiefs, place.callers) as middle:
        through, process = place.connect(middle.port, ANONYMOUS, *callers)
        say(through)
        assert BINDING in middle.said[2] and middle.heard == b"", (middle.said, process.text())
    direct, _ = place.connect(port, ANONYMOUS, *callers)
    assert say(direct)[0] == 200

    def swapped(missing):
        defences = formulas.ALL - frozenset(missing)
        own, theirs = Hardware(), Hardware()
        asks = Verifier(theirs.public, defences)
        with Server(place.servers, Attested(own, defences), asks, place.thiefs) as server, \
                Swapping(place.servers, server.port, None, place.thiefs, place.callers) as middle:
            Victim(None, place.callers, Attested(theirs, defences)).call(middle.port)
            return middle.heard

    assert swapped([]) == b"" and swapped(["exporter"]) == b""
    assert swapped(["exporter", "keys"]) != b""


@row("reflection between the two directions")
def attack_reflection(place):
    """A server that attests and wants Evidence of its callers is shown its own."""

    def reflect(port, identity, own_challenge=None):
        """Asks the server its own question, and gives its answer back."""
        channel = Channel.to(port, identity)
        try:
            if own_challenge:
                channel.send(frame(CHALLENGE, own_challenge))
            kind, theirs = channel.frame()
            assert kind == CHALLENGE
            if not own_challenge:
                channel.send(frame(CHALLENGE, theirs))
            kind, body = channel.frame()
            if kind != EVIDENCE:
                return f"refused: {formulas.decode(body).get(2)}"
            channel.send(ADMITTED + frame(EVIDENCE, body))
            kind, body = channel.frame()
            said = formulas.decode(body)
            if said[1] != 0:
                return f"refused: {said[2]}"
            channel.send(REQUEST)
            return "in" if channel.some() else "out"
        except Refused as reason:
            return f"refused: {reason}"
        finally:
            channel.close()

    port, _ = place.serve(None, SIMULATED)
    assert "exchange.challenge.reflected" in reflect(port, place.thiefs)
    # With a question of its own the caller gets Evidence, which is the server's and not its own.
    own = formulas.encode({1: os.urandom(32), 2: [255], 3: []})
    assert BINDING in reflect(port, place.thiefs, own)
    # The same server admits a caller with Evidence of its own.
    good, _ = place.connect(port, SIMULATED, "--attester", "simulated")
    assert say(good)[0] == 200

    def against(missing):
        defences = formulas.ALL - frozenset(missing)
        hardware = Hardware()
        asks = Verifier(hardware.public, defences)
        with Server(place.servers, Attested(hardware, defences), asks, place.thiefs) as server:
            return reflect(server.port, place.thiefs)

    # Roles stand in the base and in the exporter's label; the keys have their own order.
    assert against([]).startswith("refused")
    assert against(["reflection"]).startswith("refused")
    assert against(["reflection", "keys"]).startswith("refused")
    assert against(["reflection", "keys", "roles"]) == "in"
