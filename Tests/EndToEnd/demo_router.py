"""Three providers with prices and speeds of their own, one confidential router, OpenAI's SDK.

demo_router.py RATEL

Each provider's sidecar attests with a software TPM of its own, and the router appraises that by a
policy made for it. What is printed is what happens; where it is not what it should be, this fails.
"""

import contextlib
import json
import os
import subprocess
import sys
import time

import harness
from marketplace import Market

import openai

CHALLENGE = 2


def main():
    # Nobody's services are asked, and nothing is kept.
    os.environ |= {"RATEL_PCS": "off", "RATEL_KDS": "off", "RATEL_RIM": "off", "RATEL_OCSP": "off",
                   "RATEL_COLLATERAL_CACHE": "off"}
    with Market(sys.argv[1], period="3s", challenge=f"{CHALLENGE}s") as market:
        demo(market)


def demo(market):
    step("three providers, each beside an engine, each with a TPM")
    add(market, "thrifty", (100_000_000, 400_000_000), 0.03)
    add(market, "steady", (250_000_000, 900_000_000), 0.01)
    add(market, "swift", (600_000_000, 2_400_000_000), 0.0)
    market.keys = [{"name": "demo", "key": "sk-demo", "billing": "prepaid",
                    "credits": [{"reference": "first-payment", "amount": 5_000_000_000}]}]
    step("one router, which admits them by their Evidence and a canary")
    market.route()
    for name, standing in market.standing().items():
        say(f"{name}: {standing.split(': ', 1)[1][:72]}")
    sdk = openai.OpenAI(base_url=market.url + "/v1", api_key="sk-demo", max_retries=0)
    with contextlib.closing(sdk):
        prices_and_speeds(market, sdk)
        measurements(market, sdk)
        death(market, sdk)
    audit(market)


def add(market, name, price, pace):
    tpm = market.stack.enter_context(harness.software_tpm(market.folder, f"tpm-{name}"))
    made = market.provider(name, price=price, pace=pace,
                           words=["--attester", "tpm", "--tcti", tpm.tcti])
    made.tpm = tpm
    found = subprocess.run([market.ratel, "policy", "init", f"127.0.0.1:{made.port}"],
                           capture_output=True, text=True, check=True, timeout=60)
    made.policy = f"{name}.policy.yaml"
    market.file(made.policy, found.stdout)
    say(f"{name}: ${price[0] / 1e9:.2f} in, ${price[1] / 1e9:.2f} out for a million tokens; "
        f"{pace * 1e3:.0f} ms a token")


def ask(sdk, model="tiny", **members):
    """One streamed answer: who gave it, and how long it took."""
    began = time.monotonic()
    raw = sdk.chat.completions.with_raw_response.create(
        model=model, stream=True, max_tokens=12,
        messages=[{"role": "user", "content": "say what you are asked to say"}],
        extra_body=members)
    pieces = [piece.choices[0].delta.content for piece in raw.parse() if piece.choices]
    return raw.headers, "".join(pieces), time.monotonic() - began


def prices_and_speeds(market, sdk):
    step("model `tiny:floor`: the cheapest")
    headers, text, took = ask(sdk, "tiny:floor")
    expect(headers["x-ratel-provider"], "thrifty")
    say(f"{headers['x-ratel-provider']}, {took * 1e3:.0f} ms:{text}")
    step("model `tiny:nitro`: the fastest, once each was measured")
    for name in ("thrifty", "steady", "swift"):
        for _ in range(33):
            ask(sdk, provider={"only": [name]})
    headers, text, took = ask(sdk, "tiny:nitro")
    expect(headers["x-ratel-provider"], "swift")
    say(f"{headers['x-ratel-provider']}, {took * 1e3:.0f} ms:{text}")
    receipt = market.receipt(headers, key="sk-demo")["body"]
    say(f"its receipt: {receipt['usage']['in']} tokens in, {receipt['usage']['out']} out, "
        f"{receipt['cost_nusd']} nano-dollars, signed by both")


def measurements(market, sdk):
    thrifty = market.providers[0]
    step("somebody runs other code beside `thrifty`: its TPM measures that")
    subprocess.run(
        ["tpm2_pcrextend", "-T", f"swtpm:path={thrifty.tpm.tcti.split('=', 1)[1]}",
         "0:sha256=" + "ab" * 32], check=True, capture_output=True, timeout=20)
    began = time.monotonic()
    harness.wait_until(lambda: "refused" in market.standing()["thrifty"], 4 * CHALLENGE,
                       "the refusal")
    took = time.monotonic() - began
    say(f"out after {took:.1f} s, with a challenge each {CHALLENGE} s: "
        + market.standing()["thrifty"].split("refused, ")[1][:110])
    # A challenge takes its own time, beside the wait for it.
    assert took < CHALLENGE + 1, took
    headers, _, _ = ask(sdk, "tiny:floor")
    expect(headers["x-ratel-provider"], "steady")
    say(f"`tiny:floor` goes to {headers['x-ratel-provider']} now")


def death(market, sdk):
    step("`steady` dies in the middle of an answer")
    steady = market.providers[1]
    steady.engine.pace = 0.2
    stream = sdk.chat.completions.create(
        model="tiny:floor", stream=True, max_tokens=50,
        messages=[{"role": "user", "content": "go on and on"}])
    text = ""
    try:
        for piece in stream:
            text += piece.choices[0].delta.content
            if text.count(" ") == 3:
                steady.kill()
        raise AssertionError("the answer ended as if it were whole")
    except openai.APIError as error:
        say(f"the caller has{text} and then: {error.code}: {error.message}")
    headers, text, _ = ask(sdk, "tiny:floor")
    expect(headers["x-ratel-provider"], "swift")
    say(f"the next request goes to {headers['x-ratel-provider']}:{text}")


def audit(market):
    step("`ratel audit` recomputes every bill from the exports alone")
    status, report = market.books(60, [one.policy for one in market.providers])
    print(json.dumps(report, indent=1)[:1500])
    assert status == 0 and report["findings"] == report["not_checked"] == [], report
    billed = sum(receipt["body"]["cost_nusd"] for receipt in market.exported("receipts.jsonl"))
    recomputed = sum(bill["cost_nusd"] for bill in report["bills"])
    expect(recomputed, billed)
    say(f"{billed} nano-dollars billed, {recomputed} recomputed")


def step(text):
    print(f"\n== {text}", flush=True)


def say(text):
    print(f"   {text}", flush=True)


def expect(got, wanted):
    assert got == wanted, f"expected {wanted}, got {got}"


if __name__ == "__main__":
    main()
