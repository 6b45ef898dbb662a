"""The path of a counted token: an engine's stream through a sidecar that meters, and a router."""

import hashlib
import json
import os
import socket
import ssl
import time
import urllib.request

KEY = "sk-allocations"
PATH = "/v1/chat/completions"


class Engine:
    """A listener whose requests a test answers by hand; a router's probe is answered at once."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.listener.settimeout(30)
        self.port = self.listener.getsockname()[1]

    def request(self):
        """The connection of the next request, read to its end."""
        while True:
            served, _ = self.listener.accept()
            served.settimeout(30)
            data = b""
            while b"\r\n\r\n" not in data:
                piece = served.recv(65536)
                if not piece:
                    break
                data += piece
            head, _, body = data.partition(b"\r\n\r\n")
            if not head:
                continue  # Whoever looks whether there is a listener says nothing.
            length = [int(line.split(b":")[1]) for line in head.split(b"\r\n")
                      if line.lower().startswith(b"content-length")]
            while length and len(body) < length[0]:
                body += served.recv(65536)
            return served

    def begin(self):
        served = self.request()
        served.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        served.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                       b"Transfer-Encoding: chunked\r\n\r\n")
        return served

    def probe(self):
        """Answers the router's own request."""
        with self.begin() as served:
            for number in range(1, 17):
                served.sendall(chunk(event(number)))
            served.sendall(chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def event(number):
    """As vLLM writes it, with the counts so far."""
    return (
        b'data: {"id":"chatcmpl-6f0a1c8e2d","object":"chat.completion.chunk","created":1790000000,'
        b'"model":"tiny","choices":[{"index":0,"delta":{"content":" token"},"logprobs":null,'
        b'"finish_reason":null}],"usage":{"prompt_tokens":12,"total_tokens":%d,'
        b'"completion_tokens":%d}}\n\n' % (12 + number, number))


def offers(directory):
    return write(directory, "offers.yaml", {"version": 1, "models": [{
        "id": "tiny", "weights": "11" * 32, "price": {"in": 1, "out": 1},
        "capacity": {"tpm": 10**9, "streams": 64}, "context": 4096, "region": "here",
        "retention": "none", "lifetime": "1h"}]})


def write(directory, name, value):
    path = os.path.join(directory, name)
    with open(path, "w") as file:
        json.dump(value, file)
    return path


def measured(tools, ratel, directory, library):
    """`tools` is the module that counts; answers failures."""
    engine, ports = Engine(), [tools.free_port() for _ in range(3)]
    policy = write(directory, "anybody.yaml", {"version": 1, "peers": "anonymous"})
    simulated = write(directory, "simulated.yaml", {
        "version": 1, "peers": [{"name": "test", "simulated": True}]})
    common = ["--policy", policy, "--attester", "simulated", "--workers", "1"]
    processes = [tools.Counted(
        [ratel, "serve", "--listen", f"127.0.0.1:{ports[0]}", "--admin", "off", "--backend",
         f"http://127.0.0.1:{engine.port}", "--offers", offers(directory), *common],
        directory, "metered serve", library)]
    try:
        tools.wait_for(ports[0])
        failures = stream(tools, ports[0], engine, processes)
        route = write(directory, "route.yaml", {
            "version": 1, "providers": [{"name": "one", "address": f"127.0.0.1:{ports[0]}",
                                         "policy": simulated}],
            "keys": [{"name": "test", "sha256": hashlib.sha256(KEY.encode()).hexdigest(),
                      "billing": "postpaid"}]})
        processes.append(tools.Counted(
            [ratel, "route", "--listen", f"127.0.0.1:{ports[1]}", "--admin",
             f"127.0.0.1:{ports[2]}", "--providers", route, "--state",
             os.path.join(directory, "state"), "--challenge", "1h", *common],
            directory, "route", library))
        tools.wait_for(ports[1])
        engine.probe()
        wait_ready(ports[2])
        return failures + stream(tools, ports[1], engine, processes)
    finally:
        for process in processes:
            process.process.terminate()
            process.process.wait()
        engine.listener.close()


def wait_ready(port):
    for _ in range(200):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the router admits nobody")


def stream(tools, port, engine, processes):
    """One answer, an event at a time, without the counts that its caller did not ask for."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    caller = context.wrap_socket(socket.create_connection(("127.0.0.1", port)))
    caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    body = json.dumps({"model": "tiny", "stream": True, "messages": [
        {"role": "user", "content": "a b c"}]}).encode()
    caller.sendall(f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
                   f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
    served = engine.begin()
    # As many digits in each count, so that each event is as long.
    said, number = chunk(event(100_001)), 100_001
    served.sendall(said)
    tools.read_head(caller)
    first = b""
    while not first.endswith(b"\n\n\r\n"):
        first += caller.recv(65536)
    assert b"usage" not in first and b" token" in first, first

    def token():
        nonlocal number
        number += 1
        served.sendall(chunk(event(number)))
        tools.read_exactly(caller, len(first))

    failures = tools.report("metered answer", processes, tools.measure(processes, token, 1))
    caller.close()
    served.close()
    return failures
