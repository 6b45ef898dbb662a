"""The sidecar as a provider: signed offers, counts, facts; what it serves and what it does not."""

import contextlib
import hashlib
import json
import pathlib
import threading
import time

from harness import ANONYMOUS, Process, free_port, scratch, wait_until
from wire import TLSClient

import clocks  # harness names the folder
from engine import Engine

WEIGHTS = "22" * 32


@contextlib.contextmanager
def provider(context, rate=None, **changes):
    """A sidecar that is a provider, over an engine; `rate` is how fast its clock runs."""
    with scratch() as folder:
        environment = clocks.Clock(folder, rate).environment if rate else {}
        folder, engine, port = pathlib.Path(folder), Engine(), free_port()
        offer = {"id": "tiny", "weights": WEIGHTS, "price": {"in": 1_000_000, "out": 2_000_000},
                 "capacity": {"tpm": 1000, "streams": 2}, "context": 4096, "region": "here",
                 "retention": "none"} | changes
        (folder / "offers.yaml").write_text(json.dumps({"version": 1, "models": [offer]}))
        (folder / "policy.yaml").write_text(ANONYMOUS)
        with Process("serve", [
                context.ratel, "serve", "--listen", f"127.0.0.1:{port}", "--admin", "off",
                "--backend", f"http://127.0.0.1:{engine.port}", "--policy",
                folder / "policy.yaml", "--attester", "simulated", "--offers",
                folder / "offers.yaml"], folder, environment) as process:
            process.wait_for_port(port)
            yield engine, port, folder
        engine.close()


def ask(port, method, path, body=b"", *lines):
    with TLSClient(port) as client:
        head = f"{method} {path} HTTP/1.1\r\nHost: h\r\n"
        head += "".join(f"{line}\r\n" for line in lines)
        if body:
            head += f"Content-Length: {len(body)}\r\n"
        client.send(head.encode() + b"\r\n" + body)
        return client.answer()


def chat(text="a b c", **members):
    return json.dumps({"model": "tiny", "max_tokens": 4, "messages": [
        {"role": "user", "content": text}]} | members).encode()


def chain(request, pieces):
    head = hashlib.sha256(b"ratel/stream/1" + hashlib.sha256(request).digest()).digest()
    for number, piece in enumerate(pieces, 1):
        head = hashlib.sha256(head + number.to_bytes(8, "big")
                              + hashlib.sha256(piece).digest()).digest()
    return head.hex()


def test_the_facts_of_a_stream_are_what_went_over_the_wire(context):
    with provider(context) as (_, port, _):
        body = chat(stream=True)
        reply = ask(port, "POST", "/v1/chat/completions", body)
        assert reply.status == 200, reply
        receipt = reply.field("x-ratel-receipt-id")
        facts = json.loads(ask(port, "GET", f"/.well-known/ratel/receipts/{receipt}").body)["body"]
        pieces = [piece + b"\n\n" for piece in reply.body.split(b"\n\n") if piece]
        assert facts["request_hash"] == hashlib.sha256(body).hexdigest()
        assert facts["response_hash"] == hashlib.sha256(reply.body).hexdigest()
        assert facts["stream_chain_head"] == chain(body, pieces) and facts["events"] == 5
        assert facts["usage"] == {"in": 3, "cached": 0, "out": 4, "reasoning": 0}
        assert (facts["seq"], facts["end"], facts["prev"]) == (1, "complete", "00" * 32)
        assert facts["weights_digest"] == WEIGHTS
        whole = chat()
        reply = ask(port, "POST", "/v1/chat/completions", whole)
        receipt = reply.field("x-ratel-receipt-id")
        facts = json.loads(ask(port, "GET", f"/.well-known/ratel/receipts/{receipt}").body)["body"]
        assert facts["stream_chain_head"] == chain(whole, [reply.body]) and facts["seq"] == 2


def test_every_api_is_counted(context):
    cases = {"/v1/completions": {"prompt": "a b", "max_tokens": 3},
             "/v1/embeddings": {"input": ["a b", "c"]},
             "/v1/responses": {"input": "a b", "max_output_tokens": 3},
             "/v1/messages": {"messages": [{"role": "user", "content": "a b"}], "max_tokens": 3}}
    with provider(context) as (_, port, _):
        for path, members in cases.items():
            for stream in (False, True):
                if stream and path == "/v1/embeddings":
                    continue
                body = json.dumps({"model": "tiny", "stream": stream} | members).encode()
                reply = ask(port, "POST", path, body)
                assert reply.status == 200, (path, reply.body)
                receipt = reply.field("x-ratel-receipt-id")
                facts = json.loads(
                    ask(port, "GET", f"/.well-known/ratel/receipts/{receipt}").body)["body"]
                counts = (facts["usage"]["in"], facts["usage"]["out"])
                assert counts == ((3, 0) if "embed" in path else (2, 3)), (path, stream, facts)


def test_what_is_not_offered_is_not_served(context):
    with provider(context) as (engine, port, _):
        def refusal(method, path, body=b"", *lines):
            return code(ask(port, method, path, body, *lines))

        for path in ("/v1/load_lora_adapter", "/metrics", "/v1/chat/completions/", "/tokenize",
                     "//v1/chat/completions", "/v1/chat%2fcompletions"):
            assert refusal("POST", path, chat()) == (404, "path.not_offered"), path
        assert refusal("GET", "/metrics") == (404, "path.not_offered")
        assert ask(port, "GET", "/v1/models").status == 200
        assert refusal("POST", "/v1/chat/completions", chat(model="other")) \
            == (404, "model_not_found")
        twice = b'{"model":"tiny","messages":[],"model":"other"}'
        assert refusal("POST", "/v1/chat/completions", twice) == (400, "request.body.ambiguous")
        spelled = b'{"mod\\u0065l":"other","model":"tiny","messages":[]}'
        assert refusal("POST", "/v1/chat/completions", spelled) == (400, "request.body.ambiguous")
        lines = ("X-Ratel-Receipt-Id: gen-0123456789abcdef", f"X-Ratel-Offer: {'00' * 32}",
                 f"X-Ratel-Router: {'01' * 32}")
        assert refusal("POST", "/v1/chat/completions", chat(), *lines) == (412, "offer.gone")
        assert refusal("POST", "/v1/chat/completions", chat(), lines[0]) \
            == (400, "request.routing.malformed")
        assert engine.requests == []


def routed(port, receipt="gen-0123456789abcdef"):
    """What a router says of a request under the present offer."""
    offers = json.loads(ask(port, "GET", "/.well-known/ratel/offers").body)["offers"]
    signed = b"ratel/offer/1\0" + json.dumps(
        offers[0]["body"], sort_keys=True, separators=(",", ":")).encode()
    return (f"X-Ratel-Receipt-Id: {receipt}",
            f"X-Ratel-Offer: {hashlib.sha256(signed).hexdigest()}",
            f"X-Ratel-Router: {'01' * 32}")


def code(reply):
    return reply.status, json.loads(reply.body)["error"]["code"]


def test_places_and_receipts_are_taken_while_an_answer_is_under_way(context):
    with provider(context) as (engine, port, _):
        engine.faults["slow"] = 1.5
        # A receipt that is being served, and the second of two places.
        threads = [threading.Thread(target=ask, args=(port, "POST", "/v1/chat/completions", chat(),
                                                      *routed(port, name)))
                   for name in ("gen-0123456789abcdef", "gen-fedcba9876543210")]
        threads[0].start()
        wait_until(lambda: engine.open == 1, 5, "the first")
        again = ask(port, "POST", "/v1/chat/completions", chat(), *routed(port))
        assert code(again) == (409, "receipt.twice")
        threads[1].start()
        wait_until(lambda: engine.open == 2, 5, "the second")
        assert code(ask(port, "POST", "/v1/chat/completions", chat())) == (429, "saturated")
        for thread in threads:
            thread.join()
        engine.faults.clear()
        assert ask(port, "POST", "/v1/chat/completions", chat()).status == 200
        assert len(engine.requests) == 3


def test_offers_end_when_they_say_and_when_they_are_replaced(context):
    gone = (412, "offer.gone")
    with provider(context, rate=20, lifetime="10s") as (_, port, _):
        old = routed(port)
        assert ask(port, "POST", "/v1/chat/completions", chat(), *old).status == 200
        time.sleep(0.6)  # Twelve seconds.
        assert code(ask(port, "POST", "/v1/chat/completions", chat(), *old)) == gone
    with provider(context, rate=20) as (_, port, folder):
        path, old = folder / "offers.yaml", routed(port)
        path.write_text(path.read_text().replace("1000000,", "5,", 1))
        wait_until(lambda: routed(port)[1] != old[1], 10, "the new price")
        reply = ask(port, "POST", "/v1/chat/completions", chat(), *old)
        assert reply.status == 200, reply.body
        time.sleep(3.5)  # Over a minute.
        assert code(ask(port, "POST", "/v1/chat/completions", chat(), *old)) == gone
    with provider(context) as (_, port, folder):
        path = folder / "offers.yaml"
        path.write_text(path.read_text().replace('"streams": 2', '"streams": 0'))
        wait_until(lambda: ask(port, "POST", "/v1/chat/completions", chat()).status == 404, 10,
                   "the withdrawal")
        assert code(ask(port, "POST", "/v1/chat/completions", chat())) == (404, "model_not_found")


def test_bodies_are_of_32_mib_at_most(context):
    with provider(context) as (engine, port, _):
        with TLSClient(port) as client:
            client.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\n"
                        b"Content-Length: 33554433\r\n\r\n")
            # Before any of it is there.
            assert client.answer().status == 413
        large = chat("x " * ((33554432 - len(chat(""))) // 2))
        # Of too many words, the engine says.
        assert ask(port, "POST", "/v1/chat/completions", large).status == 400
        assert len(engine.requests) == 1


def test_a_receipt_is_served_once(context):
    with provider(context) as (engine, port, _):
        offers = json.loads(ask(port, "GET", "/.well-known/ratel/offers").body)["offers"]
        assert offers[0]["body"]["model"] == {
            "id": "tiny", "weights_digest": WEIGHTS, "quantization": "none"}
        lines = routed(port)
        assert ask(port, "POST", "/v1/chat/completions", chat(), *lines).status == 200
        again = ask(port, "POST", "/v1/chat/completions", chat(), *lines)
        assert (again.status, json.loads(again.body)["error"]["code"]) == (409, "receipt.twice")
        assert len(engine.requests) == 1
        # Each router has numbers of its own.
        for number, (router, wanted) in enumerate((("01", 2), ("02", 1), ("02", 2), ("01", 3))):
            name = f"gen-0123456789abcde-{number}"
            reply = ask(port, "POST", "/v1/chat/completions", chat(), f"X-Ratel-Receipt-Id: {name}",
                        lines[1], f"X-Ratel-Router: {router * 32}")
            facts = json.loads(
                ask(port, "GET", f"/.well-known/ratel/receipts/{name}").body)["body"]
            assert (reply.status, facts["seq"], facts["router"]) == (200, wanted, router * 32)


def test_the_engine_sees_no_salt_of_a_caller(context):
    with provider(context) as (engine, port, _):
        ask(port, "POST", "/v1/chat/completions", chat(cache_salt="theirs"))
        ask(port, "POST", "/v1/chat/completions", chat())
        first, second = (body["cache_salt"] for _, _, body in engine.requests)
        assert first == second and first != "theirs" and len(first) == 64


def test_offers_that_cannot_be_read_are_not_put_in_force(context):
    with provider(context) as (_, port, folder):
        def price():
            offers = json.loads(ask(port, "GET", "/.well-known/ratel/offers").body)["offers"]
            return offers[0]["body"]["price_nusd_per_mtok"]["in"]

        path = folder / "offers.yaml"
        good = path.read_text()
        path.write_text(good.replace("1000000,", "-1,", 1))
        log = folder / "serve.log"
        wait_until(lambda: "offers were not replaced" in log.read_text(), 10, "the refusal")
        assert price() == 1_000_000
        path.write_text(good.replace("1000000,", "5,", 1))
        wait_until(lambda: price() == 5, 10, "the new price")
