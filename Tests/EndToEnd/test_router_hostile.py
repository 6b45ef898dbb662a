"""The router and its sidecars among callers that cheat and lean on them."""

import contextlib
import json
import threading
import time

from harness import wait_until
from marketplace import Market
from scripted import DONE, END, KEY, ask, chat, chunk, code, counts, piece
from scripted import request, scripted, stream_head, whole
from wire import TLSClient


@contextlib.contextmanager
def routed(context, keys=None, **words):
    """One provider whose engine is a script's."""
    with Market(context.ratel, keys=keys, **words) as market:
        scripted(market, "only")
        yield market.route()


def prepaid(amount):
    return [{"name": "alice", "key": "sk-alice", "billing": "prepaid",
             "credits": [{"reference": "r1", "amount": amount}]}]


def clean(market):
    status, report = market.books()
    assert (status, report["findings"]) == (0, []), report
    return report


def test_a_stream_is_asked_for_in_one_way_alone(context):
    # Engines take 1, "true" and "yes" for true: their stream would go uncounted.
    with routed(context) as market:
        for stream in (b"1", b'"true"', b'"yes"', b"1.0", b"tru", b"[]"):
            body = b'{"model":"tiny","stream":%s,"messages":[]}' % stream
            assert code(ask(market, request(body))) == (400, "request.member.malformed"), stream
        only = market.providers[0]
        before = len(only.engine.seen)
        with TLSClient(only.port) as client:
            client.send(request(b'{"model":"tiny","stream":1,"messages":[]}'))
            assert code(client.answer()) == (400, "request.member.malformed")
        assert len(only.engine.seen) == before
        assert ask(market, request(chat(stream=None))).status == 200
        assert ask(market, request(chat(stream=False))).status == 200


def test_demands_that_cannot_be_read_are_refused_and_not_dropped(context):
    with routed(context) as market:
        names = json.dumps(["x" * 128] * 512)
        for members in (b'"provider":{"only":["x"],"only":["only"]}',
                        b'"provider":{"onl\\u0079":["x"],"only":["only"]}',
                        b'"provider":{"only":' + names.encode() + b"}",
                        b'"provider":{"zdr":tru}', b'"ratel":{"regions":[,]}',
                        b'"ratel":{"regions":["a"],"regions":["b"]}', b'"models":["a",]',
                        b'"n":"2"', b'"n":0', b'"n":1.5', b'"n":129', b'"best_of":-1'):
            body = b'{"model":"tiny","messages":[],' + members + b"}"
            assert code(ask(market, request(body))) == (400, "request.member.malformed"), members
        for limit in (b"-1", b"1.5", b'"5"', b"1e2", b"99999999999", b"true"):
            body = b'{"model":"tiny","messages":[],"max_tokens":%s}' % limit
            assert code(ask(market, request(body))) == (400, "request.limit.refused"), limit
        for body in (b'{"model":"tiny","messages":[],"pro\\u0076ider":{"only":["x"]}}',
                     b'{"model":"tiny","messages":[],"provider":{},"provider":{}}'):
            assert code(ask(market, request(body))) == (400, "request.body.ambiguous"), body


def test_no_account_spends_more_than_it_has(context):
    """What is reserved covers every reading that an engine may make of the limits."""
    # A token is 400 nano-dollars here, one of a prompt 100: some 256 + body, and 40 answered.
    with routed(context, keys=prepaid(100_000)) as market:
        def status(path="/v1/chat/completions", **members):
            return ask(market, request(chat(**members), path=path)).status

        assert status(max_tokens=40) == 200
        # Of the context of 4096, which costs 1.6 million.
        assert status(max_tokens=0) == 402
        assert status(max_tokens=None) == 402
        assert status(max_tokens=1, max_completion_tokens=0) == 402
        assert status(max_tokens=4000, max_completion_tokens=1) == 402
        assert status(max_tokens=1, n_predict=-1) == 402
        assert status(max_tokens=1, n_predict=4000) == 402
        assert status(max_tokens=40, n=64) == 402
        assert status(max_tokens=2, n=2) == 200
        completions = "/v1/completions"
        assert status(completions, max_tokens=40, prompt="a") == 200
        assert status(completions, max_tokens=40, prompt=["a"] * 64) == 402
        assert status(completions, max_tokens=40, prompt=[[1, 2]] * 64) == 402
        assert status(completions, max_tokens=40, prompt=[1] * 64) == 200
        assert status(completions, max_tokens=40, prompt="a", best_of=64) == 402
        # What is not in the body may fill the context: 409,600 nano-dollars.
        for text in ('[{"type":"image_url","image_url":{"url":"http://x"}}]',
                     '[{"type":"x","image\\u005furl":{"url":"http://x"}}]'):
            body = b'{"model":"tiny","max_tokens":1,"messages":[{"role":"user","content":%s}]}'
            assert ask(market, request(body % text.encode())).status == 402, text
        body = b'{"model":"tiny","max_output_tokens":1,"input":"a","previous_response_id":"r"}'
        assert ask(market, request(body, path="/v1/responses")).status == 402
        clean(market)


def test_a_race_overdraws_nothing(context):
    with routed(context, keys=prepaid(300_000)) as market:
        only, statuses = market.providers[0], []

        def dear(connection, request):
            time.sleep(0.2)
            connection.sendall(whole(200, json.dumps({
                "id": "c", "choices": [{"message": {"content": "w" * 90}}],
                "usage": counts(30, 100)}).encode()))

        only.engine.script = dear

        def race():
            statuses.append(ask(market, request(chat(max_tokens=100))).status)

        threads = [threading.Thread(target=race) for _ in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(statuses) == {200, 402} and 1 <= statuses.count(200) <= 6, statuses
        bills = clean(market)["bills"]
        # The router's own probe is another account.
        assert all(bill["cost_nusd"] <= 300_000 for bill in bills), bills


def test_bodies_are_framed_in_one_way(context):
    with routed(context) as market:
        body, only = chat(), market.providers[0]
        before = len(only.engine.seen)

        def refused(data):
            answer = ask(market, data)
            assert answer.status in (400, 501), (answer.status, data[:300])

        refused(request(body, "Transfer-Encoding: chunked"))
        refused(request(body, f"Content-Length: {len(body) + 1}"))
        refused(request(body, "Transfer-Encoding: gzip, chunked", length=False))
        refused(request(body, "Transfer-Encoding: chunked, chunked", length=False))
        refused(request(body, "Transfer-Encoding : chunked", length=False))
        refused(request(body, f"Content-Length: +{len(body)}", length=False))
        refused(request(body, "Content-Length: -1", length=False))
        assert len(only.engine.seen) == before
        # A request within a body is a body.
        inner = request(chat("smuggled"), path="/smuggled")
        answer = ask(market, request(body, "Transfer-Encoding: chunked", length=False).replace(
            body, chunk(body) + END))
        assert answer.status == 200, answer.body
        assert code(ask(market, request(inner))) == (400, "request.body.malformed")
        assert len(only.engine.seen) == before + 1
        assert "smuggled" not in str(only.engine.seen)


def test_requests_on_one_connection_are_answered_in_order(context):
    with routed(context) as market:
        with TLSClient(market.router_port) as client:
            # Three at once, a stream among them.
            client.send(request(chat(stream=True)) + request(chat())
                        + request(b"", path="/v1/models", method="GET"))
            first, second, third = (client.answer() for _ in range(3))
        assert first.body.endswith(DONE) and first.complete, first.body
        assert json.loads(second.body)["choices"] and json.loads(third.body)["object"] == "list"
        with TLSClient(market.router_port) as client:
            client.send(request(chat(stream=True), version="1.0"))
            answer = client.answer()
        assert answer.body.endswith(DONE) and answer.field("transfer-encoding") is None
        with TLSClient(market.router_port) as client:
            body = chat()
            client.send(request(body, "Expect: 100-continue")[:-len(body)])
            answer = client.answer(on_interim=lambda: client.send(body))
        assert (answer.interim, answer.status) == ([100], 200)
        for method in ("HEAD", "GET", "PUT", "OPTIONS"):
            answer = ask(market, request(b"", method=method, length=False), method)
            assert answer.status == 405 and answer.field("allow") == "POST", method
        clean(market)


def test_callers_that_leave_at_any_time_cost_nobody_a_place(context):
    with routed(context) as market:
        only, data = market.providers[0], request(chat(stream=True))
        # Within the head, within the body, and behind it while the ledger answers.
        for count in (40, len(data) - 20, len(data)):
            for _ in range(8):
                with TLSClient(market.router_port) as client:
                    client.send(data[:count])
        held = threading.Event()

        def silent(connection, request):
            held.wait(20)

        def endless(connection, request):
            connection.sendall(stream_head())
            with contextlib.suppress(OSError):
                for number in range(1, 1000):
                    connection.sendall(chunk(piece(" word", counts(3, number))))
                    time.sleep(0.01)

        only.engine.script = silent
        for _ in range(4):
            with TLSClient(market.router_port) as client:
                client.send(data)
                wait_until(lambda: only.engine.open, 5, "the engine asked")
        only.engine.script = endless
        for _ in range(4):
            with TLSClient(market.router_port) as client:
                client.send(data)
                while b" word" not in client.buffer:
                    assert client.fill()
        held.set()
        wait_until(lambda: market.metric("ratel_provider_streams") == 0, 10, "no stream left")
        only.engine.script = None
        assert ask(market, data).status == 200
        clean(market)


def test_what_bodies_take_is_bounded(context):
    with routed(context, words=["--workers", "1"]) as market:
        callers = []
        try:
            # 32 MiB are announced by each, and two are an account's share.
            statuses = []
            for _ in range(4):
                client = TLSClient(market.router_port)
                callers.append(client)
                client.send(request(b"", "Transfer-Encoding: chunked", length=False))
                client.socket.settimeout(0.5)
                try:
                    statuses.append(client.answer().status)
                except TimeoutError:
                    statuses.append(None)
            assert statuses == [None, None, 503, 503], statuses
            # Others are served all the while.
            assert market.chat(key="sk-bob")[0] == 200
        finally:
            for client in callers:
                client.close()
        wait_until(lambda: market.chat()[0] == 200, 5, "room again")
        # What is large and not sent takes no memory.
        before, callers = market.router.resident(), []
        for _ in range(1000):
            client = TLSClient(market.router_port)
            client.send(request(b"{", "Content-Length: 50000", length=False))
            callers.append(client)
        grown = market.router.resident() - before
        for client in callers:
            client.close()
        # 1,000 connections of TLS, some 60 KiB each.
        assert grown < 150 * 1024, grown


def test_bodies_are_of_32_mib_at_most(context):
    with routed(context) as market:
        announced = request(b"", "Content-Length: 33554433", length=False)
        assert ask(market, announced).status == 413
        with TLSClient(market.router_port) as client:
            client.send(request(b"", "Transfer-Encoding: chunked", length=False))
            block = chunk(b" " * (1 << 20))
            with contextlib.suppress(OSError):
                for _ in range(33):
                    client.send(block)
            assert client.answer().status == 413
        # One that is just as large as it may be holds nobody else up for long.
        large = chat("x" * (33554432 - len(chat(""))))
        done = []

        def upload():
            done.append(ask(market, request(large)).status)

        thread = threading.Thread(target=upload)
        thread.start()
        slowest = 0
        while not done:
            began = time.monotonic()
            assert ask(market, request(b"", path="/health", method="GET")).status == 200
            slowest = max(slowest, time.monotonic() - began)
        thread.join()
        assert done == [400], done  # No context has room for so much.
        print(f"    while 32 MiB were read, others waited {slowest:.2f} s at most")


def test_providers_hear_nothing_of_who_asks(context):
    with routed(context) as market:
        lines = ["X-User: CANARY", "Api-Key: CANARY", "X-Request-Id: CANARY", "Cookie: a=CANARY",
                 "Traceparent: CANARY", "X-Ratel-Offer: CANARY", "X_Ratel_Receipt_Id: CANARY",
                 "X-Stainless-OS: CANARY", "Accept-Language: CANARY", "Baggage: CANARY",
                 "Anthropic-Version: 2023-06-01"]
        answer = ask(market, request(chat(), *lines, path="/v1/messages?key=CANARY"))
        assert answer.status == 200, answer.body
        target, fields, body = market.providers[0].engine.seen[-1]
        assert "CANARY" not in f"{target} {fields} {body}", (target, fields)
        assert ("anthropic-version", "2023-06-01") in fields and target == "/v1/messages"


def test_keys_and_names_are_not_guessed_by_form(context):
    with routed(context) as market:
        def status(*lines):
            data = request(chat(), *lines).replace(f"{KEY}\r\n".encode(), b"", 1)
            return ask(market, data).status

        assert status() == status("Authorization: sk-alice") == 401
        assert status("Authorization: Basic sk-alice") == 401
        assert status("Authorization: Bearer sk-alice sk-bob") == 401
        assert status("Authorization: Bearer SK-ALICE") == 401
        assert status(KEY, "Authorization: Bearer sk-bob") == 401
        assert status(KEY, "X-Api-Key: sk-bob") == 401
        assert status("X-Api-Key: sk-alice") == 200
        # A name of a model comes back as text, and in no field of the answer.
        name = 'x"\r\nX-Injected: 1\r\n\r\n\u2028<script>'
        answer = ask(market, request(chat(model=name)))
        assert code(answer) == (404, "model_not_found")
        assert json.loads(answer.body)["error"]["got"] == name
        assert answer.field("x-injected") is None
        assert code(ask(market, request(chat(model="m" * 257)))) == (400, "request.model.missing")
