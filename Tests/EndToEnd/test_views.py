"""What operators see of the router: the page's files, what it asks for, and `ratel top`."""

import http.client
import json
import re

from marketplace import Market

STRANGER = "<b>\x1b[31m model</b>"


def get(market, path, method="GET"):
    connection = http.client.HTTPConnection("127.0.0.1", market.admin_port, timeout=10)
    connection.request(method, path)
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()


def state(market):
    return json.loads(get(market, "/ui/state")[2])


def policy(headers):
    """The directives of a Content-Security-Policy."""
    parts = headers["content-security-policy"].split(";")
    return {words[0]: words[1:] for words in (part.split() for part in parts)}


def test_the_pages_files_allow_nothing_but_themselves(context):
    with Market(context.ratel) as market:
        market.provider("only")
        market.route()
        kinds = {"/ui": "text/html", "/ui/page.css": "text/css", "/ui/page.js": "text/javascript",
                 "/ui/state": "application/json", "/ui/receipts?id=gen-": "application/json"}
        closed = {"default-src": ["'none'"], "base-uri": ["'none'"], "form-action": ["'none'"],
                  "frame-ancestors": ["'none'"]}
        own = {name: ["'self'"] for name in ("script-src", "style-src", "connect-src")}
        for path, kind in kinds.items():
            status, headers, body = get(market, path)
            assert status == 200 and headers["content-type"].startswith(kind), (path, headers)
            assert policy(headers) == closed | (own if path == "/ui" else {}), (path, headers)
            assert headers["x-content-type-options"] == "nosniff" and body, path
            assert headers["referrer-policy"] == "no-referrer", path
            assert headers["cache-control"] == "no-store", path
            status, headers, body = get(market, path, "HEAD")
            assert status == 200 and body == b"", path
        page = get(market, "/ui")[2].decode()
        # No script or style stands in it, and every address is one of this listener's.
        assert re.findall(r'(?:src|href)="([^"]*)"', page) == ["ui/page.css", "ui/page.js"], page
        assert not re.search(r"<style|style=|\son\w+=|<script>", page), page
        script = get(market, "/ui/page.js")[2].decode()
        for word in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(",
                     "new Function", "http:", "https:", "setTimeout(\""):
            assert word not in script, word
        for path in ("/ui/", "/ui/other", "/ui/page.jsx"):
            assert get(market, path)[0] == 404, path
        assert get(market, "/ui/state", "POST")[0] == 405


def test_the_state_is_what_is_so(context):
    with Market(context.ratel) as market:
        market.file("refusing.yaml", "version: 1\npeers: [{name: simulated, simulated: true, "
                                     "configuration: {access_log: [metadata]}}]\n")
        market.provider("good", price=(100_000_000, 400_000_000), minimum=5)
        market.provider("bad").policy = "refusing.yaml"
        market.route(admitted=1)
        headers = market.chat("secret words", stream=True, max_tokens=6)[1]
        receipt = market.receipt(headers)
        now = state(market)
        good, bad = now["providers"]
        assert (good["name"], good["standing"], good["address"]) \
            == ("good", "admitted", f"127.0.0.1:{market.providers[0].port}"), good
        assert good["appraised_ms"] <= now["time_ms"] < good["until_ms"], good
        (offer,) = good["offers"]
        assert (offer["model"], offer["price_in_nusd"], offer["price_out_nusd"],
                offer["min_charge_nusd"], offer["max_streams"], offer["streams"]) \
            == ("tiny", 100_000_000, 400_000_000, 5, 64, 0), offer
        assert offer["first_token_us"] > 0 and offer["success_ppm"] == 1_000_000, offer
        assert offer["facts"] >= 1 and offer["state"] == "open", offer
        assert offer["tokens_minute"] >= 8, offer
        assert bad["standing"] == "refused" and bad["offers"] == [], bad
        assert bad["refused"]["code"].startswith("configuration."), bad
        first = now["decisions"][0]
        assert first == {
            "id": headers["x-ratel-receipt-id"], "time_ms": receipt["body"]["time_ms"],
            "model": "tiny", "provider": "good", "attempts": 1, "end": "complete",
            "cost_nusd": 2 * 100 + 6 * 400, "tokens_in": 2, "tokens_out": 6,
            "first_token_us": first["first_token_us"]}, first
        assert now["totals"]["complete"] >= 1 and now["totals"]["billed_nusd"] >= 2600
        # Nobody's prompt, key or name.
        text = json.dumps(now)
        assert not [word for word in ("secret", "sk-alice", "alice", "acct-") if word in text], text


def test_receipts_by_how_their_ids_begin(context):
    with Market(context.ratel) as market:
        market.provider("only")
        market.route()
        made = [market.chat(max_tokens=1)[1] for _ in range(22)]
        known = {one["x-ratel-receipt-id"]: market.receipt(one) for one in made}

        def found(prefix):
            status, _, body = get(market, f"/ui/receipts?id={prefix}")
            assert status == 200, body
            return json.loads(body)

        name = made[0]["x-ratel-receipt-id"]
        assert found(name) == {"receipts": [known[name]], "are_all": True}
        begun = found(name[:12])
        assert known[name] in begun["receipts"] and begun["are_all"], begun
        # Twenty at most, and it says that there are more.
        everything = found("gen-")
        assert len(everything["receipts"]) == 20 and not everything["are_all"]
        assert found("gen-zz")["receipts"] == [] and found("GEN-")["receipts"] == []
        for prefix in ("", "%25", "_", "gen-'", "a" * 65, "%00"):
            status, _, body = get(market, f"/ui/receipts?id={prefix}")
            assert (status, json.loads(body)["error"]["code"]) == (400, "ui.receipts.id"), prefix
        assert get(market, "/ui/receipts")[0] == 400


def test_only_a_router_has_the_page(context):
    connection = http.client.HTTPConnection("127.0.0.1", context.stack.admin_port, timeout=10)
    connection.request("GET", "/ui")
    assert connection.getresponse().status == 404
