"""Engines behind sidecars that sign, a router in front of them, and a helper for plain callers."""

import contextlib
import hashlib
import json
import pathlib
import subprocess
import urllib.error
import urllib.request

from harness import ANONYMOUS, SIMULATED, Process, free_port, scratch, wait_until

from engine import Engine  # harness names the folder

WEIGHTS = "11" * 32


class Provider:
    """An engine and its sidecar."""

    def __init__(self, market, name, price=(100_000_000, 400_000_000), pace=0.0, streams=64,
                 model="tiny", words=(), queue=True, salt="inject", cancel="counted", minimum=0):
        self.market, self.name, self.model, self.price = market, name, model, list(price)
        self.streams, self.cancel, self.minimum, self.words = streams, cancel, minimum, words
        self.queue, self.salt = queue, salt
        self.engine = self.make_engine(model, pace)
        self.port = free_port()
        self.offers = market.folder / f"{name}.offers.yaml"
        self.write()
        self.start()

    def make_engine(self, model, pace):
        return Engine(model=model, pace=pace)

    def write(self):
        text = json.dumps({
            "version": 1, "cache_salt": self.salt, "models": [{
                "id": self.model, "weights": WEIGHTS,
                "price": {"in": self.price[0], "out": self.price[1], "min_charge": self.minimum},
                "capacity": {"tpm": 100_000_000, "streams": self.streams}, "context": 4096,
                "region": "here", "retention": "none", "cancel_policy": self.cancel,
                "parameters": ["temperature", "max_tokens"]}],
        } | ({"queue": {"metrics": "/metrics"}} if self.queue else {}))
        self.offers.write_text(text)

    def start(self):
        self.process = Process(f"serve-{self.name}", [
            self.market.ratel, "serve", "--listen", f"127.0.0.1:{self.port}", "--admin", "off",
            "--backend", f"http://127.0.0.1:{self.engine.port}", "--policy", self.market.anonymous,
            "--offers", self.offers, *(self.words or self.market.attester)], self.market.folder)
        self.process.wait_for_port(self.port)

    def kill(self):
        self.process.child.kill()
        self.process.child.wait()

    def close(self):
        self.process.stop()
        self.engine.close()


class Market:
    """Use it as a context; `url` is where plain callers ask."""

    def __init__(self, ratel, keys=None, period="2s", challenge="1s", words=(), helper=True):
        self.ratel, self.period, self.challenge = ratel, period, challenge
        self.words, self.helper = list(words), helper
        self.keys = keys or [{"name": "alice", "key": "sk-alice", "billing": "postpaid"},
                             {"name": "bob", "key": "sk-bob", "billing": "postpaid"}]
        self.stack = contextlib.ExitStack()
        self.providers, self.attester = [], ["--attester", "simulated"]

    def __enter__(self):
        self.folder = pathlib.Path(self.stack.enter_context(scratch()))
        self.anonymous = self.file("anonymous.yaml", ANONYMOUS)
        self.simulated = self.file("simulated.yaml", SIMULATED)
        self.port, self.router_port, self.admin_port = free_port(), free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.state = self.folder / "state"
        return self

    def __exit__(self, *_):
        with self.stack:
            for provider in self.providers:
                provider.close()

    def file(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return path

    def provider(self, name, **words):
        made = Provider(self, name, **words)
        self.providers.append(made)
        return made

    def write(self):
        self.file("route.yaml", json.dumps({
            "version": 1,
            "providers": [{"name": one.name, "address": f"127.0.0.1:{one.port}",
                           "policy": getattr(one, "policy", "simulated.yaml")}
                          for one in self.providers],
            "keys": [{"name": key["name"], "sha256": digest(key["key"]),
                      **{name: key[name] for name in key if name not in ("name", "key")}}
                     for key in self.keys],
            "models": [{"id": "tiny", "name": "Tiny", "hugging_face_id": "tests/tiny",
                        "created": 7}]}))

    def route(self, admitted=None):
        """Starts the router, and waits until so many providers are admitted; by default, all."""
        self.write()
        self.router = self.stack.enter_context(self.start_router())
        self.wait_admitted(len(self.providers) if admitted is None else admitted)
        if self.helper:
            connect = Process("connect", [
                self.ratel, "connect", f"127.0.0.1:{self.router_port}", "--policy",
                self.simulated, "--listen", f"127.0.0.1:{self.port}"], self.folder)
            self.connect = self.stack.enter_context(connect)
            connect.wait_for_port(self.port)
        return self

    def start_router(self):
        process = Process("route", [
            self.ratel, "route", "--listen", f"127.0.0.1:{self.router_port}", "--admin",
            f"127.0.0.1:{self.admin_port}", "--policy", self.anonymous, "--providers",
            self.folder / "route.yaml", "--state", self.state, "--export-period", self.period,
            "--challenge", self.challenge, *self.attester, *self.words], self.folder)
        process.wait_for_port(self.admin_port)
        return process

    def standing(self):
        """What the router says of each provider, by name."""
        text = self.admin("/status")
        return dict(line.split(" ", 2)[1:] for line in text.splitlines())

    def wait_admitted(self, count, seconds=30):
        def admitted():
            return sum(": admitted" in line for line in self.standing().values()) == count

        wait_until(admitted, seconds, f"{count} providers admitted: {self.standing()}")
        # The draws of now need a seed of the ledger.
        wait_until(lambda: "ledger: ok" in self.admin("/readyz"), 10, "a seed")

    def admin(self, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}{path}",
                                        timeout=10) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.read().decode()

    def metric(self, name, **labels):
        for line in self.admin("/metrics").splitlines():
            if line.startswith(name) and all(f'{key}="{value}"' in line
                                             for key, value in labels.items()):
                return float(line.rsplit(" ", 1)[1])
        return None

    # What callers do.

    def post(self, path, body, key="sk-alice", timeout=30, **headers):
        """Status, headers and bytes of an answer, whatever the status."""
        request = urllib.request.Request(
            self.url + path, body if isinstance(body, bytes) else json.dumps(body).encode(),
            {"content-type": "application/json"}
            | ({"authorization": f"Bearer {key}"} if key else {}) | headers)
        return self.send(request, timeout)

    def get(self, path, key="sk-alice"):
        return self.send(urllib.request.Request(
            self.url + path, headers={"authorization": f"Bearer {key}"} if key else {}), 30)

    def send(self, request, timeout):
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()

    def chat(self, text="one two three", model="tiny", key="sk-alice", timeout=30, **members):
        return self.post("/v1/chat/completions", {
            "model": model, "messages": [{"role": "user", "content": text}],
            "max_tokens": 8} | members, key, timeout)

    def receipt(self, headers, key="sk-alice"):
        """The signed receipt of an answer, once it is written."""
        name = headers["x-ratel-receipt-id"]

        def found():
            status, _, body = self.get(f"/v1/ratel/receipts/{name}", key)
            return json.loads(body) if status == 200 else None

        return wait_until(found, 20, f"the receipt {name}")

    # The books.

    def books(self, seconds=30, policies=()):
        """Ends the router, has everything exported, and answers what the audit says."""
        for provider in self.providers:
            provider.engine.faults.clear()
        self.router.stop()
        # What was under way is over, and so is the last period, once another process looks.
        with self.start_router():
            self.wait_exported(seconds)
        return self.audit(policies)

    def wait_exported(self, seconds=30):
        import sqlite3
        def done():
            with contextlib.closing(sqlite3.connect(self.state / "ledger.sqlite")) as ledger:
                written = ledger.execute("SELECT count(*) FROM receipts").fetchone()[0]
                pending = ledger.execute("SELECT count(*) FROM pending").fetchone()[0]
            return pending == 0 and written == len(self.exported("receipts.jsonl"))

        wait_until(done, seconds, "everything exported")

    def exported(self, name):
        return [json.loads(line) for path in sorted(self.state.glob(f"exports/*/{name}"))
                for line in path.read_text().splitlines()]

    def audit(self, policies=()):
        words = [word for policy in policies for word in ("--policy", self.folder / policy)]
        done = subprocess.run(
            [self.ratel, "audit", self.state / "exports", "--key", self.state / "router.pem",
             "--json", *words], capture_output=True, text=True, timeout=60)
        return done.returncode, json.loads(done.stdout)


def digest(key):
    return hashlib.sha256(key.encode()).hexdigest()


def events(body):
    """The data of each event of a stream, parsed but for its end."""
    found = []
    for event in body.decode().split("\n\n"):
        for line in event.splitlines():
            if line.startswith("data: "):
                data = line[6:]
                found.append(data if data == "[DONE]" else json.loads(data))
    return found


def text_of(body):
    return "".join(event["choices"][0]["delta"].get("content") or ""
                   for event in events(body) if event != "[DONE]" and event.get("choices"))
