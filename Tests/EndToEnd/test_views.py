"""What operators see of the router: the page's files, what it asks for, and `ratel top`."""

import contextlib
import fcntl
import http.client
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

from harness import free_port
from marketplace import Market

# What a terminal would obey: red, a cursor that moves up, text from right to left.
STRANGER = "a\x1b[31m\x1b[9A\u202e b"


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


def test_no_name_of_others_leads_to_the_page(context):
    """Names can be made to lead to an operator's loopback by whoever owns them."""
    with Market(context.ratel) as market:
        market.provider("only")
        market.route()

        def status(path, host):
            connection = http.client.HTTPConnection("127.0.0.1", market.admin_port, timeout=10)
            connection.putrequest("GET", path, skip_host=True)
            connection.putheader("host", host)
            connection.endheaders()
            answer = connection.getresponse()
            body = answer.read()
            return answer.status if answer.status == 200 else json.loads(body)["error"]["code"]

        for path in ("/ui", "/ui/page.js", "/ui/state", "/ui/receipts?id=gen-"):
            for host in ("evil.example", "127.0.0.1.evil.example:9090", "router"):
                assert status(path, host) == "ui.host", (path, host)
            for host in ("localhost:9090", "LOCALHOST", "127.0.0.1", "10.1.2.3:9901", "[::1]:9"):
                assert status(path, host) == 200, (path, host)
        assert status("/ui/other", "127.0.0.1") == "admin.path"
        assert status("/metrics", "prometheus.example") == 200


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


def top(context, *words, **environment):
    return subprocess.run(
        [context.ratel, "top", *words], capture_output=True, text=True, timeout=20,
        env=os.environ | environment)


@contextlib.contextmanager
def stranger(context):
    with Market(context.ratel) as market:
        market.file("refusing.yaml", "version: 1\npeers: [{name: simulated, simulated: true, "
                                     "configuration: {access_log: [metadata]}}]\n")
        market.provider("good", price=(100_000_000, 1_600_000_000))
        market.provider("bad").policy = "refusing.yaml"
        market.provider("strange", model=STRANGER)
        yield market.route(admitted=2)


def test_top_once(context):
    with stranger(context) as market:
        headers = market.chat("a b", stream=True, max_tokens=6)[1]
        name = headers["x-ratel-receipt-id"]
        market.receipt(headers)
        market.chat("a b", model=STRANGER)
        done = top(context, "--admin", f"127.0.0.1:{market.admin_port}", "--once")
        assert (done.returncode, done.stderr) == (0, ""), done
        lines = done.stdout.splitlines()
        assert re.fullmatch(rf"ratel router 127.0.0.1:{market.admin_port}  ready  "
                            r"\d\d:\d\d:\d\dZ", lines[0]), lines
        rows = {line.split()[0]: line.split() for line in lines[3:] if line}
        assert rows["PROVIDER"][:3] == ["PROVIDER", "EVIDENCE", "MODEL"], rows
        good = rows["good"]
        assert (good[1], good[3:6], good[8], good[-2:]) \
            == ("admitted", ["tiny", "0.1", "1.6"], "0/64", ["100.0%", "open"]), good
        bad = next(line for line in lines if line.startswith("bad "))
        assert re.search(r'refused +configuration\.\S+: access_log: expected "metadata", got "off"',
                         bad), bad
        (served,) = [line for line in lines if name in line]
        assert re.search(r"tiny +good +complete +1 +2 +6 +\S+ms +\$0\.0000098$", served), served
        # No byte of it moves a cursor, and strangers' names stay in their line.
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", done.stdout), done.stdout
        assert "a?[31m?[9A? b" in done.stdout, done.stdout


def test_top_on_a_terminal(context):
    with stranger(context) as market:
        for _ in range(30):
            market.chat(max_tokens=1)
        words = ["--admin", f"127.0.0.1:{market.admin_port}"]
        for colours, environment in ((True, {}), (False, {"NO_COLOR": "1"})):
            drawn = terminal(context, words, environment, market, isFirst=colours)
            tables = drawn.split("\x1b[H\x1b[2J")[1:]
            assert len(tables) >= 2, drawn
            assert bool(re.search(r"\x1b\[32madmitted", tables[0])) == colours, tables[0]
            assert ("\x1b" in tables[0]) == colours, tables[0]
            for table in tables:
                lines = re.sub(r"\x1b\[\d+m", "", table).split("\r\n")
                assert max(map(len, lines)) <= 80 and len(lines) <= 20, lines
            if not colours:
                # It goes on, and says so, when the router is gone.
                assert "it does not answer; what is below was so at" in tables[-1], tables[-1]
                assert re.search(r"good +admitted", tables[-1]), tables[-1]


def terminal(context, words, environment, market, isFirst):
    """What is drawn on a terminal of 80 by 20 within some seconds; the router ends meanwhile."""
    child, place = pty.fork()
    if child == 0:
        os.environ.update({"TERM": "xterm"} | environment)
        os.execv(context.ratel, [context.ratel, "top", *words])
    fcntl.ioctl(place, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 80, 0, 0))
    drawn, end = b"", time.monotonic() + 4
    isEnded = isFirst
    while time.monotonic() < end:
        if not isEnded and drawn.count(b"\x1b[2J") >= 2:
            market.router.stop(signal.SIGKILL)
            isEnded = True
        if select.select([place], [], [], 0.2)[0]:
            drawn += os.read(place, 1 << 16)
    os.kill(child, signal.SIGINT)
    os.waitpid(child, 0)
    os.close(place)
    return drawn.decode()


def test_top_of_nobody(context):
    port = free_port()
    done = top(context, "--admin", f"127.0.0.1:{port}", "--once")
    assert (done.returncode, done.stdout) == (1, "") and str(port) in done.stderr, done
    # A sidecar has no market.
    done = top(context, "--admin", f"127.0.0.1:{context.stack.admin_port}", "--once")
    assert done.returncode == 1 and "expected the state of a `ratel route`" in done.stderr, done
