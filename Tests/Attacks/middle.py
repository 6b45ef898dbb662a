"""A man in the middle: ends the caller's TLS with a key of his own or a stolen one, and has a
connection of his own to the genuine server. What passes between, his `frames` decides."""

import formulas
from channel import Channel, Listener, Refused


class Middle(Listener):
    """`frames(direction, kind, body)` answers the frames that go on in place of one;
    `genuine` is the port of the real server, or None for a middle that answers by himself;
    `identity_there` is what he shows to it, `caller` whose certificate he asks the caller for."""

    def __init__(self, identity, genuine=None, frames=None, identity_there=None, caller=None):
        self.identity, self.genuine, self.caller = identity, genuine, caller
        self.frames, self.identity_there = frames or passing, identity_there
        # Every application byte of the caller's: what the attack is for.
        self.heard, self.troubles = b"", []
        super().__init__()

    def serve(self, plain):
        try:
            near = Channel.of(plain, self.identity, self.caller)
            far = Channel.to(self.genuine, self.identity_there) if self.genuine else None
            self.between(near, far)
        except (Refused, OSError, ValueError) as trouble:
            self.troubles.append(str(trouble))
        finally:
            plain.close()

    def between(self, near, far):
        """Frames, one side's turn after the other's, until the caller admits; then his secret."""
        kind, body = near.frame()
        self.on("out", kind, body, near, far)
        if far:
            kind, body = far.frame()
            self.on("in", kind, body, near, far)
            kind, body = far.frame()
            self.on("in", kind, body, near, far)
        while True:
            kind, body = near.frame()
            if kind == formulas.RESULT:
                if formulas.decode(body)[1] != 0:
                    raise Refused(f"the caller: {formulas.decode(body)[2]}")
                break
            # The caller asks once more: what was said before did not do.
            self.on("out", kind, body, near, far)
            if far:
                self.on("in", *far.frame(), near, far)
        if far:
            far.send(formulas.frame(kind, body))
        self.heard = near.some()
        near.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen")

    def on(self, direction, kind, body, near, far):
        for frame in self.frames(direction, kind, body):
            # A middle without a server behind him answers what goes out.
            to_caller = direction == "in" or far is None
            (near if to_caller else far).send(frame)


def passing(_, kind, body):
    return [formulas.frame(kind, body)]
