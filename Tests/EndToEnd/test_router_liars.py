"""The router among providers that are attested, and sign what is not so."""

import contextlib
import time

from cryptography.hazmat.primitives.asymmetric import ec

from bookkeeper import sha256, spki
from harness import wait_until
from lying import LyingSidecar
from marketplace import Market, events
from scripted import DONE, counts, final, piece


@contextlib.contextmanager
def liar(context, change=lambda one: None, admitted=1, **words):
    with Market(context.ratel, **words) as market:
        one = LyingSidecar(market.folder)
        change(one)
        market.providers.append(one)
        yield market.route(admitted=admitted), one


def refused(context, code, change, field=""):
    with liar(context, change, admitted=0) as (market, _):
        wait_until(lambda: code in market.admin("/status"), 20, f"{code}")
        assert field in market.admin("/status"), market.admin("/status")
        assert market.chat()[0] in (404, 503)


def test_an_honest_one_is_served_and_billed(context):
    with liar(context) as (market, _):
        for stream in (True, True):
            status, headers, body = market.chat(stream=stream)
            assert status == 200 and events(body)[-1] == "[DONE]", body
            receipt = market.receipt(headers)["body"]
            assert (receipt["end"], receipt["cost_nusd"]) == ("complete", 4), receipt
        status, report = market.books()
        assert (status, report["findings"]) == (0, []), report


def test_facts_that_are_not_of_the_answer_bill_nothing(context):
    other = ec.generate_private_key(ec.SECP256R1())

    def said(**changes):
        return lambda facts: facts.update(changes)

    lies = {
        "another request": said(request_hash=sha256(b"x")),
        "another answer": said(stream_chain_head=sha256(b"x")),
        "more than came": said(events=4), "less than came": said(events=2),
        "another receipt": said(receipt_id="gen-0123456789abcdef01234567"),
        "another router": said(router=sha256(b"x")),
        "another offer": said(offer_hash=sha256(b"x")),
        "too many": said(usage={"in": 2**31, "cached": 0, "out": 2**31, "reasoning": 0}),
        "parts over the whole": said(usage={"in": 1, "cached": 9, "out": 1, "reasoning": 0}),
        "below zero": said(usage={"in": -1, "cached": 0, "out": 1, "reasoning": 0}),
    }
    with liar(context) as (market, one):
        for name, lie in lies.items():
            one.lie = lie
            bills_nothing(market, name)
            one.lie = None
        for name, how in {"another key": {"signer": other}, "kept back": {"kept": True}}.items():
            one.how = how
            bills_nothing(market, name)
            one.how = {}
        # Without a trailer they are asked for, and held to the same.
        one.how = {"trailer": None}
        one.lie = lies["another answer"]
        bills_nothing(market, "fetched, of another answer")
        one.lie = lies["another request"]
        bills_nothing(market, "fetched, of another request")
        one.lie = lies["another router"]
        bills_nothing(market, "fetched, of another router's")
        one.lie = None
        status, headers, _ = market.chat(stream=True)
        assert market.receipt(headers)["body"]["cost_nusd"] == 4
        assert len([line for line in market.router.text().splitlines()
                    if "facts of a provider are not billed" in line]) >= len(lies) - 2


def bills_nothing(market, name):
    # After a failure the breaker may stay open for a moment.
    status, headers, body = wait_until(
        lambda: next((found for found in [market.chat(stream=True)] if found[0] == 200), None),
        70, name)
    receipt = market.receipt(headers)["body"]
    assert (receipt["end"], receipt["cost_nusd"], receipt["service"]) == ("error", 0, None), \
        (name, receipt)
    # One that is as it should be closes the breaker.
    lie, how = market.providers[0].lie, market.providers[0].how
    market.providers[0].lie, market.providers[0].how = None, {}
    assert market.chat(stream=True)[0] == 200
    market.providers[0].lie, market.providers[0].how = lie, how


def test_who_offers_what_it_may_not_is_not_admitted(context):
    other = ec.generate_private_key(ec.SECP256R1())

    def no_key(one):
        del one.shown["receipt_key"]

    def stolen(one):
        one.how = {"signer": other}
        one.offers = [one.offer(keyset_digest=sha256(spki(other)))]
        one.how = {}

    def twice(one):
        one.offers = [one.offer(seq=1), one.offer(seq=2)]

    def long(one):
        one.offers = [one.offer(not_after=int(time.time()) + 5000)]

    def many(one):
        one.offers = [one.offers[0]] * 300

    refused(context, "provider.receipts.none", no_key)
    refused(context, "provider.offer.key", stolen)
    refused(context, "provider.offers.twice", twice)
    refused(context, "offer.lifetime", long)
    refused(context, "provider.offers.none", many)
    refused(context, "provider.offers.none", lambda one: one.offers.clear())


def test_who_does_not_serve_as_it_says_is_not_admitted(context):
    slow = [piece(" a")] * 12 + [final(counts(3, 12)), DONE]
    probes = {
        "terminator": lambda one: one.how.update(pieces=[piece(" a"), final(counts(3, 1))]),
        "held": lambda one: one.how.update(pieces=[b"".join(slow)], first=0.5),
        "request": lambda one: setattr(
            one, "lie", lambda facts: facts.update(request_hash=sha256(b"x"))),
        "response": lambda one: setattr(
            one, "lie", lambda facts: facts.update(response_hash=sha256(b"x"))),
        "no counts": lambda one: setattr(one, "lie", lambda facts: facts["usage"].update(
            {"in": 0, "out": 0})),
        "too many": lambda one: setattr(one, "lie", lambda facts: facts["usage"].update(out=900)),
        "kept": lambda one: one.how.update(kept=True),
        "key": lambda one: one.how.update(
            signer=ec.generate_private_key(ec.SECP256R1())),
    }
    for change in probes.values():
        refused(context, "provider.canary", change)


def test_an_offer_that_is_over_is_not_used(context):
    def short(one):
        one.offers = [one.offer(not_after=int(time.time()) + 6)]

    with liar(context, short, challenge="60s") as (market, _):
        assert market.chat(stream=True)[0] == 200
        time.sleep(7)
        assert market.chat(stream=True)[0] == 404
