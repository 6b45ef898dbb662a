"""A real vLLM behind a sidecar that meters and a router; run by `make vllm`.

routed.py RATEL

What is billed is what vLLM itself says that it counted, also where its caller left; what the caller
did not ask for is not there; vLLM's own queue is what turns callers away.
"""

import contextlib
import json
import pathlib
import socket
import sys
import threading

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "EndToEnd"))
sys.path.insert(0, str(HERE.parent / "Support"))

from harness import scratch, wait_until  # noqa: E402
from marketplace import Market, events  # noqa: E402
from server import Server  # noqa: E402

TEXT = "The licensor grants the licensee a right"


class Behind:
    """The engine of a provider that is a server of its own."""

    def __init__(self, server):
        self.port, self.faults = server.port, {}

    def close(self):
        pass


def main():
    passed, failed = [], []
    with scratch() as folder, Server(folder) as server, Market(sys.argv[1]) as market:
        server.wait()
        words = {"make_engine": lambda self, model, pace: Behind(server)}
        provider = type("VLLMProvider", (market_provider(),), words)
        market.providers.append(provider(market, "vllm", streams=512))
        market.route()
        for check in CHECKS:
            try:
                check(market, server)
                passed.append(check.__name__)
                print(f"  {check.__name__} passed", flush=True)
            except Exception as error:
                failed.append(check.__name__)
                print(f"  {check.__name__} failed: {error!r}", flush=True)
    print(f"{len(passed)} passed, {len(failed)} failed")
    sys.exit(1 if failed else 0)


def market_provider():
    from marketplace import Provider
    return Provider


def counted(server):
    return (server.metric("vllm:prompt_tokens_total"),
            server.metric("vllm:generation_tokens_total"))


def billed(market, headers):
    usage = market.receipt(headers)["body"]["usage"]
    return usage["in"], usage["out"]


def streams(market, server):
    before = counted(server)
    status, headers, body = market.chat(TEXT, stream=True, max_tokens=24, ignore_eos=True)
    assert status == 200 and events(body)[-1] == "[DONE]", body
    assert all("usage" not in event for event in events(body)[:-1]), body
    after = counted(server)
    assert billed(market, headers) == (after[0] - before[0], after[1] - before[1]) \
        == (billed(market, headers)[0], 24)
    for options, kinds in (({"include_usage": True}, 1),
                           ({"include_usage": True, "continuous_usage_stats": True}, 24)):
        _, headers, body = market.chat(TEXT, stream=True, max_tokens=24, ignore_eos=True,
                                       stream_options=options)
        told = [event["usage"] for event in events(body)[:-1] if event.get("usage")]
        assert len(told) >= kinds and told[-1]["completion_tokens"] == 24, body
        assert billed(market, headers) == (told[-1]["prompt_tokens"], 24)


def whole(market, server):
    status, headers, body = market.chat(TEXT, max_tokens=9, ignore_eos=True)
    usage = json.loads(body)["usage"]
    assert status == 200 and billed(market, headers) \
        == (usage["prompt_tokens"], usage["completion_tokens"]), body
    status, _, body = market.chat(TEXT, max_tokens=2000)
    assert (status, json.loads(body)["error"]["code"]) == (400, "context_length_exceeded"), body


def other_apis(market, server):
    for path, members in (
            ("/v1/completions", {"prompt": TEXT, "max_tokens": 5, "ignore_eos": True}),
            ("/v1/responses", {"input": TEXT, "max_output_tokens": 5}),
            ("/v1/messages", {"messages": [{"role": "user", "content": TEXT}], "max_tokens": 5})):
        for stream in (False, True):
            before = counted(server)
            status, headers, body = market.post(
                path, {"model": "tiny", "stream": stream} | members)
            assert status == 200, (path, body)
            after = counted(server)
            assert billed(market, headers) == (after[0] - before[0], after[1] - before[1]), \
                (path, stream, billed(market, headers), before, after)


def leaving(market, server):
    before = counted(server)
    body = json.dumps({"model": "tiny", "stream": True, "max_tokens": 900, "ignore_eos": True,
                       "messages": [{"role": "user", "content": TEXT}]}).encode()
    with socket.create_connection(("127.0.0.1", market.port)) as caller:
        caller.sendall((
            "POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\nauthorization: Bearer sk-alice\r\n"
            "content-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n").encode() + body)
        data = b""
        while data.count(b"data: ") < 20:
            piece = caller.recv(65536)
            assert piece, data[-2000:]
            data += piece
    wait_until(lambda: server.metric("vllm:num_requests_running") == 0, 20, "vLLM's end")
    name = [line.split(b": ")[1].strip() for line in data.split(b"\r\n")
            if line.lower().startswith(b"x-generation-id")][0].decode()
    receipt = market.receipt({"x-ratel-receipt-id": name})["body"]
    made = counted(server)[1] - before[1]
    assert receipt["end"] == "cancelled", receipt
    # It pays for what reached the sidecar, and never for more than vLLM made.
    assert 18 <= receipt["usage"]["out"] <= made < 900, (receipt["usage"], made)


def queue(market, server):
    """More than vLLM runs at once: some are turned away, and none waits in its queue for long."""
    outcomes = []

    def ask():
        outcomes.append(market.chat(TEXT, max_tokens=400, ignore_eos=True, timeout=300)[0])

    threads = []
    for _ in range(330):
        threads.append(threading.Thread(target=ask))
        threads[-1].start()
    refused = False
    with contextlib.suppress(AssertionError):
        wait_until(lambda: 429 in outcomes or market.chat(TEXT, max_tokens=1)[0] == 429, 60,
                   "somebody turned away")
        refused = True
    for thread in threads:
        thread.join()
    assert refused and set(outcomes) <= {200, 429}, set(outcomes)


def books(market, server):
    status, report = market.books(seconds=120)
    assert (status, report["findings"]) == (0, []), report


CHECKS = (streams, whole, other_apis, leaving, queue, books)

if __name__ == "__main__":
    main()
