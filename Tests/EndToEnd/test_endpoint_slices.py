"""Providers that are the ready endpoints of a service of Kubernetes."""

import contextlib
import json
import pathlib
import subprocess
import threading

from harness import scratch, wait_until
from kubernetes import APIServer
from marketplace import Market, events

SERVICE = ("ai", "llm")


def endpoint(address, ready=True, **conditions):
    return {"addresses": [address], "conditions": {"ready": ready, **conditions}}


def slice_of(port, *endpoints, kind="IPv4", name="attested"):
    return {"metadata": {"labels": {"kubernetes.io/service-name": "llm"}}, "addressType": kind,
            "ports": [{"name": "metrics", "port": 1, "protocol": "TCP"},
                      {"name": name, "port": port, "protocol": "TCP"}],
            "endpoints": list(endpoints)}


class SlicedMarket(Market):
    """Its file names a service where another names each provider."""

    service_port = "attested"

    def write(self):
        super().write()
        path = self.folder / "route.yaml"
        text = json.loads(path.read_text())
        text["providers"] = [{
            "name": "pool", "policy": "simulated.yaml",
            "endpoint_slices": {"namespace": "ai", "service": "llm", "port": self.service_port}}]
        path.write_text(json.dumps(text))


@contextlib.contextmanager
def sliced(context, slices, token="the-token\n", providers=2):
    """A market in a cluster; `slices` says what its providers' slices are."""
    with scratch() as folder:
        api = APIServer(pathlib.Path(folder))
        (pathlib.Path(folder) / "token").write_text(token)
        words = ["--api", f"https://127.0.0.1:{api.port}", "--api-ca", api.certificate,
                 "--api-token", pathlib.Path(folder) / "token"]
        try:
            with SlicedMarket(context.ratel, words=words) as market:
                for number in range(providers):
                    market.provider(f"p{number}")
                market.api = api
                api.slices[SERVICE] = slices([one.port for one in market.providers])
                yield market
        finally:
            api.server.shutdown()


def names(market):
    return {line.split()[1] for line in market.admin("/status").splitlines()}


def test_each_ready_endpoint_is_a_provider(context):
    def slices(ports):
        first, second = ports
        return [slice_of(first, endpoint("127.0.0.1"), endpoint("127.0.0.9", ready=False),
                         endpoint("127.0.0.8", ready=None)),
                # Being ended, and still serving: Kubernetes says of it that it is not ready.
                slice_of(second, endpoint("127.0.0.1", ready=False, serving=True,
                                          terminating=True)),
                slice_of(second, endpoint("pod.example"), kind="FQDN"),
                slice_of(second, endpoint("127.0.0.1"), name="other")]

    with sliced(context, slices) as market:
        market.route(admitted=1)
        first, second = (f"pool@127.0.0.1:{one.port}" for one in market.providers)
        assert names(market) == {first}, names(market)
        status, headers, _ = market.chat()
        assert (status, headers["x-ratel-provider"]) == (200, first), headers
        # Another comes, and callers can ask for it by its name.
        api = market.api
        with api.lock:
            api.slices[SERVICE][1] = slice_of(market.providers[1].port, endpoint("127.0.0.1"))
        wait_until(lambda: names(market) == {first, second}, 12, "the second")
        market.wait_admitted(2)
        status, headers, _ = market.chat(provider={"only": [second]})
        assert (status, headers["x-ratel-provider"]) == (200, second), headers
        # The first is not ready any more. What it streams goes on, and is billed.
        market.providers[0].engine.pace, answers = 0.05, []
        caller = threading.Thread(target=lambda: answers.append(market.chat(
            provider={"only": [first]}, stream=True, max_tokens=250)))
        caller.start()
        wait_until(lambda: market.providers[0].engine.open == 1, 5, "a stream")
        with api.lock:
            del api.slices[SERVICE][0]
        wait_until(lambda: names(market) == {second}, 12, "the first's end")
        assert market.providers[0].engine.open == 1, "the stream is over already"
        caller.join()
        ((status, headers, body),) = answers
        assert status == 200 and events(body)[-1] == "[DONE]", body[-300:]
        receipt = market.receipt(headers)["body"]
        assert (receipt["end"], receipt["usage"]["out"]) == ("complete", 250), receipt
        assert market.chat(provider={"only": [first]})[0] == 404
        assert market.chat()[1]["x-ratel-provider"] == second
        assert api.tokens == {"Bearer the-token"}, api.tokens
        status, report = market.books()
        assert (status, report["findings"]) == (0, []), report


def test_an_api_server_that_is_away_takes_nobody_away(context):
    with sliced(context, lambda ports: [slice_of(ports[0], endpoint("127.0.0.1"))],
                providers=1) as market:
        market.route(admitted=1)
        market.api.trouble = 503
        asked = market.api.listed
        wait_until(lambda: "what was found before stays" in market.router.text(), 12, "a warning")
        wait_until(lambda: market.api.listed > asked + 1, 15, "another question")
        assert market.router.text().count("what was found before stays") == 1
        assert "of the test's own making" in market.router.text()
        assert "the-token" not in market.router.text()
        assert market.chat()[0] == 200 and len(names(market)) == 1
        # An answer that there are none is an answer.
        with market.api.lock:
            market.api.trouble, market.api.slices[SERVICE] = None, []
        wait_until(lambda: names(market) == set(), 12, "nobody")
        assert market.chat()[0] == 404


def test_a_port_by_its_number(context):
    with sliced(context, lambda ports: [slice_of(1, endpoint("127.0.0.1"), endpoint("127.0.0.1"))],
                providers=1) as market:
        market.service_port = market.providers[0].port
        market.route(admitted=1)
        assert names(market) == {f"pool@127.0.0.1:{market.service_port}"}


def test_a_token_that_is_refused(context):
    with sliced(context, lambda ports: [slice_of(ports[0], endpoint("127.0.0.1"))],
                token="another", providers=1) as market:
        market.helper = False
        market.write()
        market.router = market.stack.enter_context(market.start_router())
        wait_until(lambda: "status 401" in market.router.text(), 10, "the refusal")
        assert "another" not in market.router.text(), market.router.text()
        assert "providers: none is admitted" in market.admin("/readyz")


def test_what_the_file_may_say(context):
    with SlicedMarket(context.ratel) as market:
        def said(place):
            market.file("route.yaml", json.dumps({
                "version": 1, "keys": [],
                "providers": [{"name": "pool", "policy": "simulated.yaml", **place}]}))
            done = subprocess.run(
                [context.ratel, "route", "--policy", market.anonymous, "--providers",
                 market.folder / "route.yaml", "--state", market.state, "--attester", "simulated",
                 "--admin", "off"], capture_output=True, text=True, timeout=20)
            assert done.returncode == 78, done
            return done.stderr

        good = {"namespace": "ai", "service": "llm", "port": 8443}
        # Outside of a cluster there is nobody to ask.
        assert "--api is missing, and this is not a pod" in said({"endpoint_slices": good})
        for wrong in ({"namespace": "ai/../kube-system"}, {"service": "a&b"}, {"service": "LLM"},
                      {"port": 0}, {"port": 70000}, {"port": "a%b"}, {"namespace": ""}):
            assert "router.value.refused" in said({"endpoint_slices": good | wrong}), wrong
        assert "router.key.missing" in said({"endpoint_slices": {"namespace": "ai", "port": 1}})
        assert "router.key.unknown" in said({"endpoint_slices": good | {"cluster": "x"}})
        assert "router.key.missing" in said({"endpoint_slices": good, "dns": "a:1"})
