"""The request shapes that were recorded, read from `../shared/captures` and made repeatable."""

import json
import os
import pathlib
import shlex

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SHARED = pathlib.Path(os.environ.get("RATEL_SHARED", ROOT.parent / "shared"))
CAPTURES = SHARED / "captures" / "vllm-0.32.0"
# The tool of a recorded request whose body was kept in a file that was not.
TOOL = {
    "model": "tiny",
    "messages": [{"role": "user", "content": "hi"}],
    "max_tokens": 4,
    "temperature": 0,
    "stream": True,
    "tool_choice": "auto",
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "weather",
                "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
            },
        }
    ],
}


class Shape:
    """One request: its name, the bytes of head and body, and what the client waits for."""

    def __init__(self, name, method, target, lines, body, version="1.1", chunked=False):
        self.name, self.method, self.target = name, method, target
        self.lines, self.body, self.version, self.chunked = lines, body, version, chunked
        self.unix = name.startswith("uds_")
        self.waits = any(line.lower().startswith("expect:") for line in lines)

    def head(self):
        lines = [f"{self.method} {self.target} HTTP/{self.version}", "Host: 127.0.0.1"]
        lines += ["User-Agent: ratel-test", "Accept: */*", *self.lines]
        if self.body and not self.chunked:
            lines.append(f"Content-Length: {len(self.body)}")
        return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"

    def payload(self):
        if not self.chunked:
            return self.body
        middle = len(self.body) // 2
        parts = [self.body[:middle], self.body[middle:]]
        chunks = [b"%x\r\n%s\r\n" % (len(part), part) for part in parts if part]
        return b"".join(chunks) + b"0\r\n\r\n"


def recorded():
    """Every recorded request."""
    result = [from_curl(path) for path in sorted(CAPTURES.glob("*.cmd"))]
    return result + [from_bytes(path) for path in sorted(CAPTURES.glob("*.request"))]


def from_curl(path):
    words = shlex.split(path.read_text())
    lines, body, target, version = [], b"", "/", "1.1"
    index = 1
    while index < len(words):
        word = words[index]
        if word in ("-H", "-d", "--data-binary", "--unix-socket"):
            index += 1
            if word == "-H":
                lines.append(words[index])
            elif word != "--unix-socket":
                body = data(words[index])
        elif word == "--http1.0":
            version = "1.0"
        elif word.startswith("http://"):
            target = "/" + word.split("/", 3)[3]
        index += 1
    chunked = any(line.lower().startswith("transfer-encoding:") for line in lines)
    method = "POST" if body else "GET"
    return Shape(path.stem, method, target, lines, repeatable(body), version, chunked)


def from_bytes(path):
    head, body = path.read_bytes().split(b"\r\n\r\n", 1)
    first, *lines = head.decode().split("\r\n")
    method, target, version = first.split(" ")
    kept = [
        line
        for line in lines
        if line.split(":")[0].lower() not in ("host", "content-length", "connection")
    ]
    return Shape(path.stem, method, target, kept, repeatable(body), version[5:])


def data(word):
    if word == "@tool.json":
        return json.dumps(TOOL).encode()
    if word.startswith("@"):
        # Its length is in the recorded answer: 900,050 characters of prompt, with the template.
        messages = [{"role": "user", "content": "licence " * 112500}]
        return json.dumps({"model": "tiny", "messages": messages}).encode()
    return word.encode()


def repeatable(body):
    """The request with sampling taken out, so that two answers can be compared."""
    try:
        fields = json.loads(body)
    except ValueError:
        return body
    if isinstance(fields, dict) and ({"messages", "input"} & set(fields)) and "seed" not in fields:
        if fields.get("model") == "tiny" and "temperature" not in fields:
            return json.dumps(fields | {"temperature": 0}).encode()
    return body
