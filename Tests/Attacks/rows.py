"""The attacks that the design of the channel names, and which function carries out which."""

ROWS = [
    "stale Evidence on another connection",
    "old Evidence on the same connection",
    "relay with a stolen leaf key",
    "an altered challenge",
    "the signature in Evidence replayed as a lease",
    "a lease taken for another policy, origin or role",
    "a forged Merkle proof by a co-batched peer",
    "key substitution, client-certificate swap",
    "reflection between the two directions",
    "quoting oracle",
    "resumption, 0-RTT, downgrade, stripping",
    "GPU or vTPM evidence left out or mixed",
    "drift after admission",
    "unmeasured configuration",
    "collateral rollback, TCB downgrade",
    "diversion to an identical image elsewhere, extracted hardware keys",
]


def row(name):
    """Marks the function that carries the attack out."""
    assert name in ROWS, name

    def mark(function):
        function.row = name
        return function

    return mark
