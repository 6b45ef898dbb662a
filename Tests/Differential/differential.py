"""Compares Ratel's reading of HTTP/1.1 messages with httptools (llhttp) and h11.

    differential.py PROBE [CASES] [SEED]

Generated messages, most of them damaged, go to all three. Refusing is always allowed; what may
not happen is that two accept a message and differ in method, target, fields, body or end.
"""

import json
import random
import subprocess
import sys
from collections import Counter

import h11
import httptools

from generator import message


def main():
    probe = sys.argv[1]
    cases = int(sys.argv[2]) if len(sys.argv) > 2 else 20000
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    chance = random.Random(seed)
    samples = [message(chance) for _ in range(cases)]
    ours = run_probe(probe, samples)
    tally, differences = Counter(), []
    for sample, own in zip(samples, ours):
        tally["ratel " + own["outcome"]] += 1
        for name, parse in (("httptools", with_httptools), ("h11", with_h11)):
            other = parse(sample)
            verdict = compare(own, other, name)
            tally[f"{name}: {verdict[0]}"] += 1
            if verdict[0] == "different":
                differences.append((name, verdict[1], sample, own, other))
    for key in sorted(tally):
        print(f"  {key}: {tally[key]}")
    for name, what, sample, own, other in differences[:10]:
        print(f"different from {name} in {what}:\n  {sample}\n  ratel {own}\n  {name} {other}")
    failed = len({name for name, *_ in differences})
    print(f"{2 - failed} passed, {failed} failed")
    sys.exit(1 if differences else 0)


def run_probe(probe, samples):
    lines = []
    for kind, method, data in samples:
        words = [kind, data.hex()] if kind == "request" else [kind, method, data.hex()]
        lines.append(" ".join(words))
    done = subprocess.run(
        [probe], input="\n".join(lines) + "\n", capture_output=True, text=True, check=True
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(samples), "one answer for each message"
    for answer in answers:
        for key in ("method", "target", "body"):
            if key in answer:
                answer[key] = bytes.fromhex(answer[key])
        if "fields" in answer:
            answer["fields"] = normal(
                (bytes.fromhex(name), bytes.fromhex(value)) for name, value in answer["fields"]
            )
    return answers


def normal(fields):
    """Names in lower case, as h11 has them, and the codings too, which it also lowers."""
    result = []
    for name, value in fields:
        name, value = bytes(name).lower(), bytes(value).strip(b" \t")
        result.append((name, value.lower() if name == b"transfer-encoding" else value))
    return result


def compare(own, other, name):
    """What the two readings have in common: a verdict and what differs."""
    if own["outcome"] == "refused":
        return ("both refused" if other["outcome"] == "refused" else "only ratel refused", None)
    if other["outcome"] == "refused":
        return ("only the other refused", None)
    if own["outcome"] == "incomplete" or other["outcome"] == "incomplete":
        # A parser that waits for more of the head has accepted nothing yet.
        same = own["outcome"] == other["outcome"]
        return ("same", None) if same else ("different", "where the head ends")
    keys = ["method", "target", "status", "fields", "body", "outcome"]
    if own["outcome"] == "complete":
        keys.append("end")
    for key in keys:
        if key in own and key in other and own[key] != other[key]:
            return ("different", key)
    return ("same", None)


class Listener:
    """Callbacks of httptools; fields after the head are trailers."""

    def __init__(self):
        self.target, self.fields, self.body = b"", [], b""
        self.head_done = self.done = False

    def on_url(self, url):
        self.target += url

    def on_header(self, name, value):
        if not self.head_done:
            self.fields.append((name, value))

    def on_headers_complete(self):
        self.head_done = True

    def on_body(self, body):
        self.body += body

    def on_message_complete(self):
        self.done = True


def with_httptools(sample):
    kind, method, data = sample
    if kind == "response" and method == "HEAD":
        return {"outcome": "refused"}  # It has no way to be told the method.
    listener = Listener()
    make = httptools.HttpRequestParser if kind == "request" else httptools.HttpResponseParser
    parser = make(listener)
    try:
        for index in range(len(data)):
            parser.feed_data(data[index : index + 1])
            if listener.done:
                break
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return {"outcome": "refused"}
    if not listener.head_done:
        return {"outcome": "incomplete"}
    reading = {
        "outcome": "complete" if listener.done else "open",
        "fields": normal(listener.fields),
        "body": listener.body,
        "end": index + 1,
    }
    if kind == "request":
        reading["method"], reading["target"] = parser.get_method(), listener.target
    else:
        reading["status"] = parser.get_status_code()
    return reading


def with_h11(sample):
    kind, method, data = sample
    role = h11.SERVER if kind == "request" else h11.CLIENT
    connection = h11.Connection(role, max_incomplete_event_size=16 * 1024)
    if kind == "response":
        connection.send(h11.Request(method=method, target="/", headers=[("Host", "h")]))
        connection.send(h11.EndOfMessage())
    reading = {"outcome": "incomplete"}
    try:
        connection.receive_data(data)
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                return reading
            if isinstance(event, (h11.Request, h11.Response, h11.InformationalResponse)):
                reading = {"outcome": "open", "fields": normal(event.headers), "body": b""}
                if kind == "request":
                    reading["method"], reading["target"] = event.method, event.target
                else:
                    reading["status"] = event.status_code
                if isinstance(event, h11.InformationalResponse):
                    reading["outcome"] = "complete"
                    reading["end"] = len(data) - len(connection.trailing_data[0])
                    return reading
            elif isinstance(event, h11.Data):
                reading["body"] += event.data
            elif isinstance(event, h11.EndOfMessage):
                reading["outcome"] = "complete"
                reading["end"] = len(data) - len(connection.trailing_data[0])
                return reading
            else:
                return {"outcome": "refused"}
    except h11.ProtocolError:
        return {"outcome": "refused"}


if __name__ == "__main__":
    main()
