"""One market with everything on it, and a browser that looks."""

import contextlib
import json
import pathlib
import subprocess
import threading
import time

from browser import Browser
from harness import wait_until
from marketplace import Market

ARTEFACTS = pathlib.Path(__file__).resolve().parent.parent.parent / ".build/test-artefacts/ui"
MARKUP = "<img src=x onerror=\"window.ran=1;alert(1)\"><script>window.ran=2</script>"
REFUSING = ("version: 1\npeers: [{name: simulated, simulated: true, "
            "configuration: {access_log: [metadata]}}]\n")


class Scene:
    """Cheap and slow, dear and fast, one that is refused, and one with a model of a bad name."""

    def __init__(self, ratel):
        self.market, self.stack = Market(ratel), contextlib.ExitStack()

    def __enter__(self):
        market = self.stack.enter_context(self.market)
        market.file("refusing.yaml", REFUSING)
        market.provider("cheap", price=(100_000_000, 400_000_000), pace=0.02)
        market.provider("fast", price=(350_000_000, 1_600_000_000), streams=2)
        market.provider("refused").policy = "refusing.yaml"
        market.provider("stranger", model=MARKUP, price=(75, 1_250_000))
        market.route(admitted=3)
        for _ in range(8):
            market.chat(model="tiny:floor", stream=True, max_tokens=12)
        for _ in range(3):
            market.chat(provider={"only": ["fast"]}, stream=True, max_tokens=40)
        market.providers[0].engine.faults["die"] = 3
        market.chat(model="tiny:floor", stream=True)
        market.providers[0].engine.faults.clear()
        market.chat(model=MARKUP, stream=True)
        self.headers = market.chat(model="tiny:floor", max_tokens=5)[1]
        market.receipt(self.headers)
        self.browser = self.stack.enter_context(Browser())
        self.url = f"http://127.0.0.1:{market.admin_port}/ui"
        return self

    def __exit__(self, *_):
        self.stack.close()

    @contextlib.contextmanager
    def page(self, **look):
        page = self.browser.open(self.url, **look)
        page.wait("document.querySelectorAll('#providers tbody tr').length === 4")
        try:
            yield page
        finally:
            page.close()

    @property
    def receipt(self):
        return self.headers["x-ratel-receipt-id"]


def row(page, name):
    """The texts of a provider's cells."""
    return page.evaluate(f"""(() => {{
        const row = [...document.querySelectorAll('#providers tbody tr')]
          .find((one) => one.querySelector('.name').textContent === {json.dumps(name)});
        return [...row.cells].map((one) => one.innerText.trim());
    }})()""")


def test_providers(scene):
    with scene.page() as page:
        _, evidence, model, price, speed, load, success = row(page, "cheap")
        assert evidence.startswith("admitted") and " old, holds for " in evidence, evidence
        assert model.startswith("tiny") and "here" in model, model
        assert price == "0.10 · 0.40", price
        first, gap = speed.split(" · ")
        assert first.endswith(" ms") and 10 < float(gap.removesuffix(" ms")) < 200, speed
        assert load.startswith("0 of 64") and " tokens" in load, load
        # Nine of ten answers, and the first of them weigh most.
        assert "of 10 requests" in success and success.startswith("90.0 %"), success
        assert row(page, "fast")[3] == "0.35 · 1.60"
        evidence = row(page, "refused")[1]
        assert evidence.startswith("refused") and "configuration" in evidence, evidence
        code = page.evaluate("document.querySelector('.why:not([hidden]) code').textContent")
        said = json.loads(scene.market.get("/v1/ratel/attestation")[2])["providers"]
        told = {one["name"]: one.get("refused") for one in said}
        assert code == told["refused"]["code"], (code, told)
        assert told["refused"]["remedy"] in evidence, evidence
        assert page.text("#providers-count") == "3 of 4 admitted"
        assert page.text("#ready") == "ready"
        assert page.trouble() == [], page.trouble()


def test_a_decision_appears_after_its_request(scene):
    with scene.page() as page:
        before = page.evaluate("document.querySelectorAll('#decisions tbody tr').length")
        headers = scene.market.chat(
            provider={"only": ["fast"]}, stream=True, max_tokens=4)[1]
        name = json.dumps(headers["x-ratel-receipt-id"])
        page.wait(f"document.querySelector('#decisions tbody .id').textContent === {name}", 5)
        cells = page.evaluate("[...document.querySelector('#decisions tbody tr').cells]"
                              ".map((one) => one.innerText.trim())")
        assert cells[2:7] == ["tiny", "fast", "complete", "1", "3 · 4"], cells
        assert cells[8] == "$0.00000745", cells
        after = page.evaluate("document.querySelectorAll('#decisions tbody tr').length")
        assert after == before + 1, (before, after)
        ends = page.evaluate("[...document.querySelectorAll('#decisions .pill')]"
                             ".map((one) => one.textContent)")
        assert "error" in ends, ends
        # What is on the page is what was served: nobody's words, keys or names.
        text = page.evaluate("document.documentElement.outerHTML")
        assert not [word for word in ("one two three", "sk-alice", "alice") if word in text]


def test_streams_under_way_show(scene):
    caller = threading.Thread(target=scene.market.chat, kwargs={
        "provider": {"only": ["cheap"]}, "stream": True, "max_tokens": 100})
    with scene.page() as page:
        caller.start()
        page.wait("document.querySelector('#providers tbody').innerText.includes('1 of 64')", 10)
        caller.join()
        page.wait("!document.querySelector('#providers tbody').innerText.includes('1 of 64')", 10)


def test_names_of_strangers_are_text(scene):
    with scene.page() as page:
        assert row(page, "stranger")[2].startswith(MARKUP), row(page, "stranger")
        assert page.evaluate("document.querySelectorAll('img, main script').length") == 0
        assert page.evaluate("typeof window.ran") == "undefined"
        models = page.evaluate("[...document.querySelectorAll('#decisions .model')]"
                               ".map((one) => one.textContent)")
        assert MARKUP in models, models
        # And were one to get in, the policy of the page would not run it.
        ran = page.evaluate("""(() => {
            const one = document.createElement('div');
            one.innerHTML = '<img src=x onerror="window.ran=1">';
            document.body.append(one);
            const two = document.createElement('script');
            two.textContent = 'window.ran=2';
            document.body.append(two);
            return new Promise((done) => setTimeout(() => done(typeof window.ran), 300));
        })()""")
        assert ran == "undefined", ran
        assert any("Content Security Policy" in str(one) for one in page.trouble())


def test_it_asks_this_listener_alone(scene):
    with scene.page() as page:
        asked = {url.removeprefix(scene.url) for url in page.asked()}
        assert asked == {"", "/page.css", "/page.js", "/state"}, asked


def test_receipts_are_found_by_how_their_ids_begin(scene):
    with scene.page() as page:
        def search(text):
            page.evaluate(f"document.querySelector('#id').value = {json.dumps(text)};"
                          "document.querySelector('#search').requestSubmit()")

        search(scene.receipt[:14])
        page.wait("document.querySelector('#found').textContent === '1 found.'")
        shown = json.loads(page.text("#receipts pre"))
        assert shown == scene.market.receipt(scene.headers), shown
        assert len(shown["signature"]) == 128 and shown["body"]["receipt_id"] == scene.receipt
        search("gen-")
        page.wait("document.querySelectorAll('#receipts details').length > 10")
        search("nothing")
        page.wait("document.querySelector('#found').textContent.startsWith('No receipt')")
        assert page.evaluate("document.querySelectorAll('#receipts details').length") == 0
        # A decision leads to its receipt.
        page.evaluate("document.querySelector('#decisions tbody .id').click()")
        page.wait("document.querySelector('#found').textContent === '1 found.'")
        assert page.trouble() == [], page.trouble()


def test_screenshots(scene):
    for name, look in (("light", {}), ("dark", {"dark": True}), ("narrow", {"width": 1290}),
                       ("tablet", {"width": 820}),
                       ("phone", {"width": 390, "height": 844}),
                       ("phone-dark", {"width": 390, "height": 844, "dark": True})):
        with scene.page(**look) as page:
            page.evaluate(f"document.querySelector('#id').value = '{scene.receipt[:12]}';"
                          "document.querySelector('#search').requestSubmit()")
            page.wait("document.querySelectorAll('#receipts details').length === 1")
            # Nothing sticks out at the side.
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= page.width, (name, width)
            for table in ("#providers", "#decisions"):
                wide = page.evaluate(f"[document.querySelector('{table}').scrollWidth, "
                                     f"document.querySelector('{table}').parentNode.clientWidth]")
                assert wide[0] <= wide[1], (name, table, wide)
            page.screenshot(ARTEFACTS / f"{name}.png")
            ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (ground == "rgb(18, 22, 21)") == ("dark" in name), (name, ground)
            assert (ARTEFACTS / f"{name}.png").stat().st_size > 20_000


def test_z_a_router_that_is_away_is_said_so(scene):
    """Last, since nothing is left to look at afterwards."""
    with scene.page() as page:
        scene.market.router.child.kill()
        scene.market.router.child.wait()
        page.wait("!document.querySelector('#away').hidden", 10)
        said = page.text("#away")
        assert said.startswith("The router does not answer. What is below was so at"), said
        assert page.text("#ready") == "no answer"
        page.screenshot(ARTEFACTS / "away.png")
        scene.market.router = scene.market.start_router()
        scene.market.stack.callback(scene.market.router.stop)
        page.wait("document.querySelector('#away').hidden", 20)
