"""The router among engines and providers that lie, stall, flood and break off."""

import contextlib
import gzip
import json
import time

from harness import wait_until
from marketplace import Market, events, text_of
from scripted import DONE, END, chat, chunk, counts, final, piece, request
from scripted import saying, scripted, stream_head, whole
from wire import TLSClient

GOOD = [chunk(piece(" a", counts(3, 1))), chunk(final(counts(3, 1)) + DONE), END]


@contextlib.contextmanager
def pair(context, **words):
    """A cheap provider that a test has in its hands, and a dear one that serves."""
    with Market(context.ratel, **words) as market:
        bad = scripted(market, "bad", price=(100_000_000, 400_000_000))
        scripted(market, "good", price=(200_000_000, 800_000_000))
        yield market.route(), bad.engine


def cheapest(market, **members):
    """Asks the cheap one, if it can be had."""
    return market.chat(model="tiny:floor", **members)


def clean(market):
    for provider in market.providers:
        provider.engine.script = None
    status, report = market.books()
    assert (status, report["findings"]) == (0, []), report
    return report


def errors(body):
    return [event["error"]["code"] for event in events(body)
            if event != "[DONE]" and event.get("error")]


def test_an_answer_that_is_none_goes_elsewhere(context):
    packed = gzip.compress(piece(" a") + DONE)
    answers = {
        "nothing": b"", "garbage": b"\x00\x01\x02 garbage\r\n\r\n",
        "a switch": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
        "a part": whole(206, b"{}"), "accepted": whole(202, b"{}"),
        "a redirect": whole(302, b"{}", "Location: https://evil.example/"),
        "not modified": b"HTTP/1.1 304 Not Modified\r\n\r\n",
        "its own bill": whole(402, b'{"error":{"message":"pay me"}}'),
        "a proxy's": whole(407, b"{}"), "a teapot": whole(418, b"{}"), "unknown": whole(599, b"{}"),
        "packed": stream_head("Content-Encoding: gzip") + chunk(packed) + END,
        "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        "interims": b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" * 200,
    }
    with pair(context) as (market, bad):
        for name, data in answers.items():
            bad.script = saying(data, ends=True)
            for stream in (False, True):
                status, headers, body = cheapest(market, stream=stream)
                assert (status, headers["x-ratel-provider"]) == (200, "good"), (name, body)
                assert "location" not in headers
            # It is asked again at once: the breaker is not what is tested.
            bad.script = None
            wait_until(lambda: cheapest(market)[1]["x-ratel-provider"] == "bad", 90, name)
        clean(market)


def test_a_stream_that_does_not_end_as_it_should_is_an_error_and_free(context):
    error = b'data: {"error":{"message":"out of memory","code":500}}\n\n'
    streams = {
        "no terminator": [chunk(piece(" a", counts(3, 1)) + final(counts(3, 1))), END],
        "half an event": [chunk(piece(" a", counts(3, 1)) + b"data: {"), END],
        "its own error": [chunk(piece(" a", counts(3, 1)) + error), END],
        "its own error, and an end": [chunk(piece(" a", counts(3, 1)) + error + DONE), END],
        "cut": [chunk(piece(" a", counts(3, 1)))],
        "a chunk cut": [chunk(piece(" a", counts(3, 1)))[:-9]],
        "no chunk": [chunk(piece(" a", counts(3, 1))), b"zz\r\n"],
        "an event too long": [b"%x\r\n" % (2 << 20) + b"data: " + b"x" * ((2 << 20) - 6)],
    }
    with pair(context) as (market, bad):
        for name, pieces in streams.items():
            bad.script = saying(stream_head(), *pieces, ends=True)
            status, headers, body = cheapest(market, stream=True)
            assert status == 200 and headers["x-ratel-provider"] == "bad", name
            assert len(errors(body)) == 1, (name, body[-300:])
            receipt = market.receipt(headers)["body"]
            assert (receipt["end"], receipt["cost_nusd"]) == ("error", 0), (name, receipt)
            bad.script = None
            # Five in a row would open the breaker.
            assert cheapest(market)[1]["x-ratel-provider"] == "bad", name
        clean(market)


def test_a_stream_in_any_shape_is_passed_on_and_billed(context):
    whole_stream = (": hello\n\n" + piece(" a", counts(3, 1)).decode()
                    + "event: x\ndata: {}\n\n" + piece(" b", counts(3, 2)).decode()
                    + final(counts(3, 2)).decode()).encode() + DONE
    many = b"".join(piece(" w", counts(3, number)) for number in range(1, 4001))
    tiny = stream_head() + b"".join(chunk(bytes([byte])) for byte in whole_stream) + END
    early = b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n"
    closed = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + whole_stream
    trailers = b"0\r\nratel-service: {}\r\nfoo: bar\r\n\r\n"
    streams = {
        "a byte at a time": (tiny, 2), "until the close": (closed, 2),
        "behind interims": (early * 3 + stream_head() + chunk(whole_stream) + END, 2),
        "with trailers": (stream_head("Trailer: ratel-service") + chunk(whole_stream) + trailers,
                          2),
        "ended twice": (stream_head() + chunk(whole_stream + DONE + DONE) + END, 2),
        "all at once": (stream_head() + chunk(many + final(counts(3, 4000)) + DONE) + END, 4000),
        "with CR LF": (stream_head() + chunk(whole_stream.replace(b"\n", b"\r\n")) + END, 2),
        "errors that are none": (stream_head() + chunk(
            whole_stream.replace(b'"id": "c"', b'"id":"c","error":null')) + END, 2),
    }
    with pair(context) as (market, bad):
        for name, (data, count) in streams.items():
            bad.script = saying(data, ends=data is closed)
            status, headers, body = cheapest(market, stream=True, max_tokens=4000)
            assert status == 200 and headers["x-ratel-provider"] == "bad", (name, body[:300])
            assert errors(body) == [] and DONE.strip() in body, (name, body[:300])
            receipt = market.receipt(headers)["body"]
            assert (receipt["end"], receipt["usage"]["out"]) == ("complete", count), (name, receipt)
        clean(market)


def test_fields_of_engines_reach_no_caller(context):
    lines = ["Set-Cookie: a=b", "X-Ratel-Provider: evil", "X-Ratel-Receipt-Id: evil",
             "X-Generation-Id: evil", "X-Request-Id: evil", "Location: evil", "Server: evil",
             "Access-Control-Allow-Origin: evil", "Alt-Svc: evil", "Retry-After: 9",
             "X-Ratel-Evil: evil", "Strict-Transport-Security: evil", "Cache-Control: evil"]
    with pair(context) as (market, bad):
        answers = [(stream_head(*lines) + b"".join(GOOD), 200),
                   (whole(200, json.dumps({"choices": [], "usage": counts(3, 1)}).encode(),
                          *lines), 200),
                   (whole(400, b'{"error":{"message":"no","code":"x"}}', *lines), 400)]
        for data, expected in answers:
            bad.script = saying(data)
            status, headers, body = cheapest(market, stream=data.startswith(stream_head()[:60]))
            assert status == expected and headers["x-ratel-provider"] == "bad", body
            assert "evil" not in str(headers) and headers["set-cookie"] is None, headers
            assert headers.get_all("x-generation-id") == headers.get_all("x-ratel-receipt-id")
            assert len(headers.get_all("x-request-id")) == 1, headers
        clean(market)


def test_counts_that_cannot_be_are_not_billed(context):
    """An engine's counts of more than the request can take, as text, or below zero."""
    keys = [{"name": "alice", "key": "sk-alice", "billing": "prepaid",
             "credits": [{"reference": "r1", "amount": 1_000_000}]}]
    lies = [counts(2_000_000_000, 1), counts(3, 2_000_000_000), counts(10**17, 10**17),
            counts(3, 10**30), counts(-5, 3), counts("3", "4"), counts(3.5, 4.5), counts(None, [])]
    with pair(context, keys=keys) as (market, bad):
        spent = 0
        for usage in lies:
            for stream in (False, True):
                body = json.dumps({"choices": [], "usage": usage}).encode()
                bad.script = saying(
                    stream_head() + chunk(piece(" a", usage) + final(usage) + DONE) + END
                    if stream else whole(200, body))
                status, headers, body = cheapest(market, stream=stream)
                assert status == 200, body
                cost = market.receipt(headers)["body"]["cost_nusd"]
                # What 4 tokens and a prompt of as many as its body has bytes cost at most.
                assert cost <= 120_000, (usage, cost)
                spent += cost
                bad.script = None
                assert cheapest(market)[0] == 200
        assert spent < 500_000, spent
        assert cheapest(market)[0] == 200
        assert "ledger.reserve" in market.router.text()
        status, report = market.books()
        # What the router refused to bill is missing among the provider's facts, and shows.
        assert {one["code"] for one in report["findings"]} <= {"audit.service.gap"}, report


def test_a_probe_costs_no_more_than_it_can(context):
    with Market(context.ratel) as market:
        bad = scripted(market, "bad")
        lie = counts(2_000_000_000, 2_000_000_000)
        bad.engine.script = saying(stream_head() + chunk(piece(" a", lie) + DONE) + END)
        market.route(admitted=0)
        wait_until(lambda: "provider.canary" in market.admin("/status"), 20, "the probe refused")
        # Asked for again, its facts are as false as before.
        wait_until(lambda: "ledger.reserve" in market.router.text(), 20, "its facts refused")
        assert (market.metric("ratel_router_billed_nusd_total") or 0) == 0


def test_errors_of_any_size_take_no_memory(context):
    with pair(context) as (market, bad):
        before, ends = market.router.resident(), []

        def flood(connection, request):
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n"
                               b"Transfer-Encoding: chunked\r\n\r\n")
            block = chunk(b"x\n\n" * 20_000)
            with contextlib.suppress(OSError):
                for _ in range(1200):
                    connection.sendall(block)
                connection.sendall(END)
            ends.append(True)

        bad.script = flood
        status, _, body = cheapest(market, timeout=120)
        assert status == 400 and json.loads(body)["error"]["code"] == "invalid_request", body
        assert market.router.resident() - before < 32 * 1024, market.router.resident() - before
        # Without an end of an event it is cut, and is an error all the same.
        for stream in (False, True):
            bad.script = saying(whole(400, b"x" * (3 << 20)))
            status, _, body = cheapest(market, stream=stream)
            assert status == 400 and json.loads(body)["error"]["message"], body
        long = json.dumps({"error": {"message": "m" * 5000, "code": 7, "type": [], "param": {}}})
        bad.script = saying(whole(422, long.encode()))
        status, _, body = cheapest(market)
        error = json.loads(body)["error"]
        assert status == 422 and len(body) < 500 and error["code"] == "invalid_request", body
        clean(market)


def test_a_hint_in_the_middle_of_an_announced_stream_is_none_of_it(context):
    with pair(context) as (market, bad):
        early = b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n"

        def late(connection, request):
            time.sleep(11)
            connection.sendall(early + stream_head() + b"".join(GOOD))

        bad.script = late
        status, headers, body = cheapest(market, stream=True, timeout=40)
        assert status == 200 and body.startswith(b": waiting\n\n"), body
        assert b"103" not in body and events(body)[-1] == "[DONE]" and text_of(body) == " a", body
        # It may still go elsewhere, behind the head.
        def late_failure(connection, request):
            time.sleep(11)
            connection.sendall(early + whole(500, b"{}"))

        bad.script = late_failure
        status, headers, body = cheapest(market, stream=True, timeout=40)
        assert status == 200 and text_of(body) == " word word" and errors(body) == [], body
        clean(market)


def test_a_reader_that_stops_holds_the_engine_up_and_nobody_else(context):
    with pair(context) as (market, bad):
        sent = []

        def endless(connection, request):
            connection.sendall(stream_head())
            block = chunk(b"".join(piece(" " + "w" * 200, counts(3, 1)) for _ in range(50)))
            with contextlib.suppress(OSError):
                while len(sent) < 20_000:
                    connection.sendall(block)
                    sent.append(len(block))

        bad.script = endless
        before = market.router.resident()
        with TLSClient(market.router_port) as client:
            client.send(request(chat(model="tiny:floor", stream=True)))
            client.fill()
            last = -1
            while last != sum(sent):
                last = sum(sent)
                time.sleep(0.5)
            assert last < 64 << 20, last
            assert market.router.resident() - before < 32 * 1024
            assert cheapest(market, provider={"only": ["good"]})[0] == 200
        wait_until(lambda: bad.open == 0, 10, "the engine's end")
        clean(market)


def test_a_dear_offer_shuts_nobody_out(context):
    keys = [{"name": "alice", "key": "sk-alice", "billing": "prepaid",
             "credits": [{"reference": "r1", "amount": 1_000_000}]}]
    with Market(context.ratel, keys=keys) as market:
        scripted(market, "dear", price=(900_000_000_000_000, 900_000_000_000_000))
        scripted(market, "cheap")
        market.route()
        for _ in range(8):
            status, headers, body = market.chat()
            assert (status, headers["x-ratel-provider"]) == (200, "cheap"), body
        status, _, body = market.chat(provider={"only": ["dear"]})
        assert (status, json.loads(body)["error"]["code"]) == (402, "insufficient_quota"), body
        clean(market)
