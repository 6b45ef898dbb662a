"""Sends each recorded request shape directly and through both Ratels and compares the answers."""

import re

from wire import Client

from shapes import recorded

# What differs between two answers to one request, even without a proxy.
MASKS = [
    (rb'"(id|item_id|request_id|call_id)": ?"[^"]*"', rb'"\1":"-"'),
    (rb'"(created|created_at|completed_at|modified_at)": ?[0-9.]+', rb'"\1":0'),
    (rb'"(system_fingerprint)": ?"[^"]*"', rb'"\1":"-"'),
]
# Counters and times: only the names, in their order, can be compared.
METRICS = [(rb"(?m)^(?!#)(.*) [^ \n]+$", rb"\1 0"), (rb"(?m)^.*_created\{.*\n", b"")]
HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "x-request-id"}
ATTEMPTS = 4


def replay(direct, through, unix):
    """Compares every shape of one kind; returns the (name, verdict) pairs, "" where equal."""
    results = []
    for shape in recorded():
        if shape.unix == unix:
            results.append((shape.name, compare(shape, direct, through)))
            print(f"  {shape.name}: {results[-1][1] or 'identical'}", flush=True)
    return results


def compare(shape, direct, through):
    """Equal once in a few attempts: the engine itself joins tokens by its own timing."""
    seen = ""
    for _ in range(ATTEMPTS):
        one, other = ask(shape, **direct), ask(shape, **through)
        seen = difference(shape, one, other)
        if not seen:
            return ""
    return seen


def difference(shape, one, other):
    if not (one.complete and other.complete):
        return f"incomplete: direct {one.complete}, through {other.complete}"
    if one.status != other.status:
        return f"status {one.status} directly, {other.status} through"
    if shape.version == "1.1" and one.interim != other.interim:
        return f"interim {one.interim} directly, {other.interim} through"
    if shape.version == "1.0" and other.field("transfer-encoding"):
        return "chunked to an HTTP/1.0 client"
    fields = [[pair for pair in answer.fields if pair[0] not in HOP] for answer in (one, other)]
    if fields[0] != fields[1]:
        return f"fields {fields[0]} directly, {fields[1]} through"
    bodies = [masked(shape, answer.body) for answer in (one, other)]
    if bodies[0] != bodies[1]:
        place = next((i for i, (a, b) in enumerate(zip(*bodies)) if a != b), min(map(len, bodies)))
        excerpts = [body[max(0, place - 40) : place + 40] for body in bodies]
        return f"body at {place}: {excerpts[0]} directly, {excerpts[1]} through"
    return ""


def masked(shape, body):
    masks = METRICS if shape.target == "/metrics" else MASKS
    for pattern, replacement in masks:
        body = re.sub(pattern, replacement, body)
    return body


def ask(shape, port=None, path=None):
    with Client(port, path=path, timeout=120) as client:
        client.send(shape.head())
        sent = []

        def send_body():
            if not sent:
                client.send(shape.payload())
                sent.append(True)

        if not shape.waits:
            send_body()
        return client.answer(shape.method, on_interim=send_body)
