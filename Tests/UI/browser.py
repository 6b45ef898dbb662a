"""Chromium without a window, asked by the DevTools protocol over a pipe."""

import base64
import itertools
import json
import os
import pathlib
import selectors
import shutil
import subprocess
import tempfile
import time


class Browser:
    """Use it as a context; everything it writes is in a folder that goes with it."""

    def __init__(self, program="chromium"):
        self.program, self.numbers, self.received = program, itertools.count(1), b""
        self.events = []

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="ratel-ui-")
        down, self.write = os.pipe()
        self.read, up = os.pipe()
        # The protocol's descriptors are 3 and 4; dash knows those below 10 alone.
        shell = ["bash", "-c", f'exec "$@" 3<&{down} 4>&{up}', "bash"]
        self.log = open(pathlib.Path(self.folder) / "log", "wb")
        self.child = subprocess.Popen(
            [*shell, self.program, "--headless=new", "--no-sandbox", "--disable-gpu",
             "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars", "--lang=en-US",
             "--disable-background-networking", "--disable-component-update",
             f"--user-data-dir={self.folder}/profile", "--remote-debugging-pipe", "about:blank"],
            pass_fds=(down, up), stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            env=dict(os.environ, HOME=self.folder, TZ="UTC", LANG="C.UTF-8"))
        os.close(down)
        os.close(up)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.read, selectors.EVENT_READ)
        return self

    def __exit__(self, *_):
        try:
            self.ask("Browser.close", seconds=10)
            self.child.wait(15)
        except (OSError, AssertionError, subprocess.TimeoutExpired):
            self.child.kill()
            self.child.wait()
        os.close(self.write)
        os.close(self.read)
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def ask(self, method, session=None, seconds=30, **parameters):
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self.write, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + seconds
        while True:
            answer = self.next(end - time.monotonic())
            assert answer is not None, f"{method}: no answer within {seconds} s"
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer)
                return answer["result"]

    def next(self, seconds):
        """The next message; those that answer nothing are kept as events."""
        end = time.monotonic() + seconds
        while b"\0" not in self.received:
            if not self.selector.select(max(0, end - time.monotonic())):
                return None
            data = os.read(self.read, 1 << 20)
            assert data, "Chromium ended: " + pathlib.Path(self.log.name).read_text()[-2000:]
            self.received += data
        message, self.received = self.received.split(b"\0", 1)
        message = json.loads(message)
        if "id" not in message:
            self.events.append(message)
        return message

    def open(self, url, **look):
        return Page(self, url, **look)


class Page:
    """One tab, as wide as a screen of yours, light or dark."""

    def __init__(self, browser, url, width=1360, height=900, dark=False):
        self.browser = browser
        target = browser.ask("Target.createTarget", url="about:blank")["targetId"]
        self.target = target
        self.session = browser.ask(
            "Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")
        self.width = width
        self.look(width, height, dark)
        self.ask("Page.navigate", url=url)

    def ask(self, method, **parameters):
        return self.browser.ask(method, self.session, **parameters)

    def look(self, width, height, dark):
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height,
                 deviceScaleFactor=1, mobile=width < 600)
        self.ask("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def evaluate(self, expression):
        done = self.ask("Runtime.evaluate", expression=expression, returnByValue=True,
                        awaitPromise=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def wait(self, expression, seconds=20):
        """The value of an expression, once it is true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if value := self.evaluate(expression):
                return value
            time.sleep(0.1)
        raise AssertionError(f"{expression}: not within {seconds} s\n{self.text()}")

    def text(self, selector="body"):
        return self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText")

    def screenshot(self, path):
        """Of the whole page."""
        path.parent.mkdir(parents=True, exist_ok=True)
        size = self.ask("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": self.width, "height": size["height"], "scale": 1}
        image = self.ask("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(image["data"]))

    def trouble(self):
        """What the browser complained of: scripts that failed, and what a policy forbade."""
        self.evaluate("0")
        said = []
        for event in self.browser.events:
            if event.get("sessionId") != self.session:
                continue
            if event["method"] in ("Runtime.exceptionThrown", "Page.javascriptDialogOpening"):
                said.append(event["params"])
            if event["method"] == "Log.entryAdded":
                said.append(event["params"]["entry"]["text"])
        return said

    def asked(self):
        """Every address that the page asked for."""
        return [event["params"]["request"]["url"] for event in self.browser.events
                if event.get("sessionId") == self.session
                and event["method"] == "Network.requestWillBeSent"]

    def close(self):
        self.browser.ask("Target.closeTarget", targetId=self.target)
