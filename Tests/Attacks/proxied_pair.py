"""The file of a `ratel proxy` that has two servers, or one behind two names, each by its policy."""


def document(front, one, two):
    """`one` and `two` are a port and the file of a policy: for /lax and for /strict."""
    backends = [
        {"name": name, "address": f"127.0.0.1:{port}", "protection": "attested",
         "policy": str(policy)}
        for name, (port, policy) in (("one", one), ("two", two))]
    return {
        "version": 1, "workers": 1, "admin": "off", "attestation": {"attester": "none"},
        "listeners": [{"name": "in", "address": f"127.0.0.1:{front}", "protection": "plain"}],
        "routes": [
            {"name": "lax", "match": {"path": ["/lax"]}, "backends": ["one"], "access": "any"},
            {"name": "strict", "match": {"path": ["/strict"]}, "backends": ["two"],
             "access": "any"},
        ],
        "backends": backends,
    }
