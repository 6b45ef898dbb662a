"""The confidential router: who serves, what callers hear, what is billed."""

import contextlib
import json
import socket
import subprocess
import threading
import time

from harness import wait_until
from marketplace import Market, events, text_of


@contextlib.contextmanager
def three(context, **words):
    """Cheap and slow, dear and fast, and one between."""
    with Market(context.ratel, **words) as market:
        market.provider("cheap", price=(100_000_000, 400_000_000), pace=0.02)
        market.provider("middle", price=(200_000_000, 800_000_000), pace=0.01)
        market.provider("fast", price=(400_000_000, 1_600_000_000), pace=0.0)
        yield market.route()


def test_floor_is_cheapest_and_nitro_fastest(context):
    with three(context) as market:
        for _ in range(3):
            status, headers, _ = market.chat(model="tiny:floor")
            assert (status, headers["x-ratel-provider"]) == (200, "cheap"), (status, headers)
        # From 32 answers on a provider is compared by its speed.
        for name in ("cheap", "middle", "fast"):
            for _ in range(33):
                status, headers, _ = market.chat(
                    provider={"only": [name]}, stream=True, max_tokens=3)
                assert headers["x-ratel-provider"] == name
        status, headers, _ = market.chat(model="tiny:nitro", stream=True)
        assert (status, headers["x-ratel-provider"]) == (200, "fast"), headers["x-ratel-provider"]
        status, report = market.books()
        assert (status, report["findings"]) == (0, []), report


def test_an_answer_is_what_the_engine_said_and_its_receipt_bills_it(context):
    with Market(context.ratel) as market:
        market.provider("only")
        market.route()
        status, headers, body = market.chat("a b c", stream=True, max_tokens=5)
        assert status == 200 and text_of(body) == " a b c a b", body
        assert events(body)[-1] == "[DONE]"
        # What only the sidecar asked for is not there.
        assert all("usage" not in event for event in events(body)[:-1]), body
        receipt = market.receipt(headers)["body"]
        assert receipt["usage"] == {"in": 3, "cached": 0, "out": 5, "reasoning": 0}, receipt
        assert receipt["cost_nusd"] == 3 * 100 + 5 * 400, receipt
        assert receipt["end"] == "complete"
        # And a caller that asks for the counts gets them.
        _, _, body = market.chat("a b c", stream=True, max_tokens=5,
                                 stream_options={"include_usage": True})
        *pieces, last, done = events(body)
        assert last["usage"]["completion_tokens"] == 5 and done == "[DONE]", body
        assert all("usage" not in event for event in pieces), body
        _, _, body = market.chat(
            "a b c", stream=True, max_tokens=5,
            stream_options={"include_usage": True, "continuous_usage_stats": True})
        assert [event["usage"]["completion_tokens"] for event in events(body)[:-1]] \
            == [1, 2, 3, 4, 5, 5], body
        seen = [body for _, _, body in market.providers[0].engine.requests if body.get("stream")]
        assert all(one["stream_options"]["continuous_usage_stats"] for one in seen)


def test_others_see_nothing_of_a_request(context):
    with Market(context.ratel) as market:
        only = market.provider("only")
        market.route()
        _, headers, _ = market.chat("one", cache_salt="mine", user="u", provider={"sort": "price"})
        market.chat("one", key="sk-bob", cache_salt="mine")
        (_, fields, first), (_, _, second) = only.engine.requests[-2:]
        # Tenants do not share a cache, whatever salt they send.
        assert first["cache_salt"] != second["cache_salt"] and "mine" not in str(first)
        assert "provider" not in first and first["user"] == "u", first
        fields = {name.lower() for name in fields}
        assert not fields & {"authorization", "x-ratel-receipt-id", "x-ratel-offer", "user-agent"}
        market.receipt(headers)
        name = headers["x-ratel-receipt-id"]
        for path in ("/v1/ratel/receipts/", "/v1/generation?id=", "/v1/signature/"):
            assert market.get(path + name)[0] == 200, path
            assert market.get(path + name, key="sk-bob")[0] == 404, path
            assert market.get(path + name, key=None)[0] == 401, path


def test_callers_are_known_by_their_keys_and_pay_what_they_have(context):
    keys = [{"name": "paid", "key": "sk-paid", "billing": "prepaid",
             "credits": [{"reference": "r1", "amount": 200_000}]},
            {"name": "none", "key": "sk-none", "billing": "prepaid"},
            {"name": "small", "key": "sk-small", "billing": "postpaid", "budget": 60_000}]
    with Market(context.ratel, keys=keys) as market:
        market.provider("only", pace=0.05)
        market.route()
        for key in (None, "sk-wrong", ""):
            status, _, body = market.chat(key=key)
            assert (status, json.loads(body)["error"]["code"]) == (401, "invalid_api_key"), body
        status, _, body = market.chat(key="sk-none")
        assert (status, json.loads(body)["error"]["code"]) == (402, "insufficient_quota"), body
        assert market.chat(key="sk-small", max_tokens=2)[0] == 200
        # Eight at once against a balance that covers what four may cost: none overdraws.
        outcomes = []

        def ask():
            outcomes.append(market.chat("word", key="sk-paid", max_tokens=4)[0])

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(outcomes) == {200, 402}, outcomes
        status, report = market.books()
        assert (status, report["findings"]) == (0, []), report


def appraised_by_a_caller(market, evidence):
    """Who trusts no router appraises its provider under a policy of their own."""
    def verify(evidence, *words):
        path = market.file("session.json", json.dumps(evidence))
        return subprocess.run([market.ratel, "verify", path, *words], capture_output=True,
                              text=True, timeout=30)

    policy = "--policy", market.simulated
    found = verify(evidence, *policy, "--any-nonce")
    assert found.returncode == 0 and "ADMITTED" in found.stdout, found
    assert "receipt_key" in found.stdout, found.stdout
    assert verify(evidence, *policy).returncode == 78
    assert verify(evidence, *policy, "--nonce", "11" * 32).returncode == 1
    other = dict(evidence, exported="11" * 32)
    found = verify(other, *policy, "--any-nonce")
    assert found.returncode == 1 and "binding.signature.invalid" in found.stdout, found


def test_demands_that_nobody_meets(context):
    with three(context) as market:
        def code(**members):
            status, headers, body = market.chat(**members)
            return status, json.loads(body)["error"]["code"]

        assert code(model="other") == (404, "model_not_found")
        assert code(max_tokens=5000) == (400, "context_length_exceeded")
        assert code(provider={"attestation": {"sessions": ["00"]}}) \
            == (412, "session_not_accepted")
        assert code(provider={"attestation": {"min_claims": ["tdx"]}}) \
            == (503, "attestation_failed")
        assert code(provider={"max_price": {"prompt": "0.01"}}) == (404, "no_provider")
        assert code(provider={"only": ["nobody"]}) == (404, "no_provider")
        assert code(provider={"attestation": {"min_claim": []}}) \
            == (400, "request.provider.unknown")
        assert market.post("/v1/chat/completions", b"{")[0] == 400
        assert market.post("/v1/chat/completions", b'{"model":"tiny","model":"x"}')[0] == 400
        assert market.post("/v1/nothing", {})[0] == 404
        assert market.get("/v1/chat/completions")[0] == 405
        session = json.loads(market.get("/v1/ratel/attestation")[2])["providers"][0]["session"]
        status, headers, _ = market.chat(provider={"attestation": {"sessions": [session]}})
        assert (status, headers["x-ratel-provider"]) == (200, "cheap")
        status, _, body = market.get(f"/v1/ratel/sessions/{session}")
        assert status == 200
        appraised_by_a_caller(market, json.loads(body)["evidence"])


def test_failover_before_the_first_byte_alone(context):
    with three(context) as market:
        cheap, middle, _ = market.providers
        cheap.engine.faults["busy"] = True
        status, headers, _ = market.chat(model="tiny:floor")
        assert (status, headers["x-ratel-provider"]) == (200, "middle"), headers
        attempts = market.receipt(headers)["body"]["attempts"]
        assert [one["outcome"] for one in attempts] == ["saturated", "served"], attempts
        cheap.engine.faults.clear()
        wait_until(lambda: market.chat(model="tiny:floor")[1]["x-ratel-provider"] == "cheap", 10,
                   "the cheap one back")
        # It dies in the middle: an honest error, then the end, and the next goes elsewhere.
        cheap.engine.faults["die"] = 3
        status, headers, body = market.chat(model="tiny:floor", stream=True)
        assert (status, headers["x-ratel-provider"]) == (200, "cheap")
        last = events(body)[-1]
        assert last["error"]["code"] and last["choices"][0]["finish_reason"] == "error", body
        assert len(events(body)) == 4, body
        receipt = market.receipt(headers)["body"]
        assert (receipt["end"], receipt["cost_nusd"]) == ("error", 0), receipt
        # Five in a row, and nobody is sent there for a while.
        for _ in range(5):
            market.chat(model="tiny:floor", stream=True)
        assert market.chat(model="tiny:floor")[1]["x-ratel-provider"] == "middle"
        # Without fallbacks the first choice is the only one.
        middle.engine.faults["busy"] = True
        status, _, body = market.chat(provider={"only": ["middle"], "allow_fallbacks": False})
        assert (status, json.loads(body)["error"]["code"]) == (429, "saturated"), body
        status, report = market.books()
        assert (status, report["findings"]) == (0, []), report


def test_a_killed_provider_and_one_that_comes_back(context):
    with three(context) as market:
        cheap = market.providers[0]
        cheap.kill()
        status, headers, _ = market.chat(model="tiny:floor")
        assert (status, headers["x-ratel-provider"]) == (200, "middle"), headers
        assert [one["outcome"] for one in market.receipt(headers)["body"]["attempts"]] \
            == ["failed", "served"]
        cheap.start()
        wait_until(lambda: market.chat(model="tiny:floor")[1]["x-ratel-provider"] == "cheap", 20,
                   "the cheap one back")
        status, report = market.books()
        assert (status, report["findings"]) == (0, []), report


def asking(market, tokens):
    """A connection on which a stream of so many tokens was asked for."""
    body = json.dumps({"model": "tiny", "stream": True, "max_tokens": tokens, "messages": [
        {"role": "user", "content": "go on"}]}).encode()
    caller = socket.create_connection(("127.0.0.1", market.port))
    caller.sendall(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\nauthorization: Bearer sk-alice\r\n"
        b"content-length: %d\r\n\r\n" % len(body) + body)
    return caller


def left(market, tokens, is_enough):
    """The receipt's name of a stream that its caller leaves once enough has come."""
    with asking(market, tokens) as caller:
        data = b""
        while not is_enough(data):
            data += caller.recv(65536)
    return [line.split(b": ")[1].strip() for line in data.split(b"\r\n")
            if line.lower().startswith(b"x-generation-id")][0].decode()


def test_a_caller_that_leaves_pays_for_what_came(context):
    with Market(context.ratel) as market:
        only = market.provider("only", pace=0.05)
        market.route()
        name = left(market, 1000, lambda data: data.count(b"data: ") >= 4)
        # The engine is told at once.
        wait_until(lambda: only.engine.open == 0, 5, "the engine's end")
        receipt = market.receipt({"x-ratel-receipt-id": name})["body"]
        assert receipt["end"] == "cancelled", receipt
        out = receipt["usage"]["out"]
        assert 4 <= out < 40 and receipt["cost_nusd"] == 2 * 100 + out * 400, receipt
        assert receipt["service"]["body"]["events"] == out
        # Before the first token too.
        only.engine.faults["slow"] = 30
        with asking(market, 1000):
            wait_until(lambda: only.engine.open == 1, 5, "the engine's beginning")
        wait_until(lambda: market.metric("ratel_provider_streams") == 0, 5, "the stream's end")
        status, report = market.books()
        assert (status, report["findings"]) == (0, []), report


def test_who_leaves_after_the_last_event_gave_nothing_up(context):
    """Clients close once they have read [DONE]: that is neither a cancel nor the provider's doing.
    """
    with Market(context.ratel) as market:
        only = market.provider("only", cancel="free")
        market.route()
        wait_until(lambda: market.metric("ratel_provider_streams") == 0, 5, "the probe's end")
        before = market.metric("ratel_provider_facts")
        only.engine.faults["linger"] = 1
        name = left(market, 5, lambda data: b"[DONE]" in data)
        receipt = market.receipt({"x-ratel-receipt-id": name})["body"]
        assert (receipt["end"], receipt["usage"]["out"]) == ("complete", 5), receipt
        assert receipt["cost_nusd"] == 2 * 100 + 5 * 400, receipt
        assert market.metric("ratel_provider_facts") == before + 1
        assert market.metric("ratel_provider_streams") == 0
        status, report = market.books()
        assert (status, report["findings"]) == (0, []), report


def test_a_full_provider_says_so_before_a_queue_forms(context):
    with Market(context.ratel) as market:
        only = market.provider("only", streams=2, pace=0.2)
        market.route()
        threads = [threading.Thread(target=market.chat, kwargs={"max_tokens": 20})
                   for _ in range(2)]
        for thread in threads:
            thread.start()
        wait_until(lambda: only.engine.open == 2, 5, "two under way")
        status, headers, body = market.chat()
        assert (status, json.loads(body)["error"]["code"]) == (429, "saturated"), body
        assert headers["retry-after"] == "1"
        for thread in threads:
            thread.join()
        # The engine's own metrics say that requests wait in it.
        only.engine.waiting = 3
        wait_until(lambda: market.chat()[0] == 429, 10, "the queue seen")
        only.engine.waiting = 0
        wait_until(lambda: market.chat()[0] == 200, 10, "the queue gone")


def test_prices_move_and_offers_end_while_requests_run(context):
    with Market(context.ratel) as market:
        only = market.provider("only")
        market.route()
        only.price = [300_000_000, 900_000_000]
        only.write()

        def price():
            status, headers, _ = market.chat("a", max_tokens=1)
            assert status == 200, headers
            return market.receipt(headers)["body"]["cost_nusd"]

        wait_until(lambda: price() == 300 + 900, 10, "the new price")
        only.streams = 0
        only.write()
        wait_until(lambda: market.chat()[0] == 404, 10, "the withdrawal")
        listing = json.loads(market.get("/v1/models?format=openrouter")[2])["data"][0]
        assert listing["is_ready"] is False and listing["id"] == "tiny", listing
        status, report = market.books()
        assert (status, report["findings"]) == (0, []), report


def test_the_listings(context):
    with three(context) as market:
        assert json.loads(market.get("/v1/models")[2])["data"][0]["id"] == "tiny"
        assert json.loads(market.get("/v1/models/tiny")[2])["object"] == "model"
        assert market.get("/v1/models/other")[0] == 404
        listing = json.loads(market.get("/v1/models?format=openrouter", key=None)[2])["data"][0]
        assert listing["pricing"] == {
            "prompt": "0.0000001", "completion": "0.0000004", "image": "0", "request": "0",
            "input_cache_read": "0.0000001"}, listing
        assert listing["hugging_face_id"] == "tests/tiny" and listing["is_ready"] is True
        assert len(json.loads(market.get("/v1/ratel/offers")[2])["offers"]) == 3
        for path in ("/health", "/ready", "/metrics"):
            assert market.get(path, key=None)[0] == 200, path
        report = json.loads(market.get("/v1/attestation/report?nonce=" + "ab" * 32)[2])
        assert report["request_nonce"] == "ab" * 32 and report["evidence"]["evidence"], report
        assert market.get("/v1/attestation/report?nonce=zz")[0] == 400


def test_a_provider_that_cannot_be_used_costs_the_others_nothing(context):
    with Market(context.ratel) as market:
        market.provider("lost").policy = "missing.yaml"
        market.provider("good")
        market.route(admitted=1)
        status, headers, _ = market.chat()
        assert (status, headers["x-ratel-provider"]) == (200, "good"), (status, headers)
        assert "missing.yaml" in market.router.text()


def test_a_silent_stream_is_kept_alive(context):
    with Market(context.ratel) as market:
        only = market.provider("only")
        market.route()
        only.engine.faults["slow"] = 11
        began = time.monotonic()
        status, headers, body = market.chat(stream=True, timeout=40)
        assert status == 200 and body.startswith(b": waiting\n\n"), body[:200]
        assert events(body)[-1] == "[DONE]" and time.monotonic() - began > 10
        # It is none of the answer: the facts hold all the same.
        assert market.receipt(headers)["body"]["end"] == "complete"
