"""What the router wrote, audited: as it is, changed by a stranger, and changed by the router."""

import copy
import json
import pathlib
import subprocess
import time

from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bookkeeper import digest, merkle, sign
from harness import scratch, wait_until
from marketplace import Market
from scripted import chat, request
from wire import TLSClient

FILES = ("receipts.jsonl", "decisions.jsonl", "offers.jsonl", "evidence.jsonl")


# One that admits a TPM with another key than any here.
OTHER = f"""version: 1
peers:
  - name: other
    require: {{tpm: 1}}
    tpm: {{ak: ["000b{'00' * 32}"], pcrs: {{bank: sha256, values: {{7: any}}}}, reset_count: any,
          restart_count: any, firmware: any, clock: any, event_log: any}}
"""


def live(market):
    """Failovers, answers given up, a dearer price and a new key, over several periods."""
    cheap, dear = market.providers
    for number in range(3):
        cheap.engine.faults["busy"] = True
        assert market.chat("a b", model="tiny:floor", stream=True)[0] == 200
        cheap.engine.faults.clear()
        cheap.engine.faults["die"] = 2
        market.chat("a b", provider={"only": ["cheap"]}, stream=True)
        cheap.engine.faults.clear()
        dear.engine.pace = 0.05
        with TLSClient(market.router_port) as client:
            client.send(request(chat(stream=True, max_tokens=100, provider={"only": ["dear"]})))
            while client.buffer.count(b"data: ") < 3:
                assert client.fill()
        dear.engine.pace = 0
        for _ in range(4):
            assert market.chat("a b c")[0] == 200
        if number == 0:
            cheap.price[0] += 1_000_000
            cheap.write()
        if number == 1:
            cheap.kill()
            cheap.start()
            wait_until(lambda: market.chat(provider={"only": ["cheap"]})[0] == 200, 30, "a new key")
        time.sleep(2)  # A period.


def audit(market, folder, *words):
    done = subprocess.run(
        [market.ratel, "audit", folder, "--key", market.state / "router.pem", "--json", *words],
        capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout or done.stderr


class Papers:
    """Exports, to be changed and written again; as the router, with all its signatures anew."""

    def __init__(self, market):
        self.source = market.state / "exports"
        self.key = load_pem_private_key((market.state / "router.key").read_bytes(), None)
        self.periods = []
        for folder in sorted(self.source.iterdir()):
            lines = {name: [json.loads(line) for line in (folder / name).read_text().splitlines()]
                     for name in FILES}
            lines["root"] = json.loads((folder / "root.json").read_text())
            self.periods.append((folder.name, lines))

    def write(self, folder):
        for name, lines in self.periods:
            place = pathlib.Path(folder) / name
            place.mkdir(parents=True)
            for file in FILES:
                (place / file).write_text("".join(
                    json.dumps(one, separators=(",", ":"), ensure_ascii=False) + "\n"
                    for one in lines[file]))
            (place / "root.json").write_text(json.dumps(lines["root"]) + "\n")

    def sign_again(self):
        previous = "00" * 32
        for _, lines in self.periods:
            for index, one in enumerate(lines["receipts.jsonl"]):
                one["body"]["prev"] = previous
                made = sign("ratel/receipt/1", one["body"], self.key)
                lines["receipts.jsonl"][index] = made
                previous = digest("ratel/receipt/1", made)
            root = lines["root"]["body"]
            root["receipts_root"] = merkle([
                bytes.fromhex(digest("ratel/receipt/1", one))
                for one in lines["receipts.jsonl"]]).hex()
            root["decisions_root"] = merkle([
                json.dumps(one, separators=(",", ":"), ensure_ascii=False).encode()
                for one in lines["decisions.jsonl"]]).hex()
            root["evidence_root"] = merkle([
                json.dumps(one, separators=(",", ":"), ensure_ascii=False).encode()
                for one in lines["evidence.jsonl"]]).hex()
            lines["root"] = sign("ratel/export/1", root, self.key)


def leaves(value, path=()):
    """The places of all numbers, texts and empty values."""
    if isinstance(value, dict) and value:
        return [leaf for name in value for leaf in leaves(value[name], path + (name,))]
    if isinstance(value, list) and value:
        return [leaf for index, one in enumerate(value) for leaf in leaves(one, path + (index,))]
    return [path]


def changed(value, path):
    """`value` with another leaf of its kind at `path`."""
    value = copy.deepcopy(value)
    place = value
    for name in path[:-1]:
        place = place[name]
    old = place[path[-1]]
    words = {"complete": "cancelled", "cancelled": "complete", "error": "complete",
             "served": "failed", "failed": "saturated", "saturated": "failed", "score": "price",
             "price": "score", "order": "score"}
    if isinstance(old, int):
        place[path[-1]] = old + 1
    elif isinstance(old, str):
        hexadecimal = len(old) >= 64 and all(one in "0123456789abcdef" for one in old)
        place[path[-1]] = words.get(old) or (
            ("1" if old[0] == "0" else "0") + old[1:] if hexadecimal else old + "x")
    else:
        place[path[-1]] = 7
    return value


def test_papers_of_a_run_add_up_and_no_stranger_changes_them(context):
    with Market(context.ratel) as market:
        market.provider("cheap")
        market.provider("dear", price=(200_000_000, 800_000_000))
        market.route()
        live(market)
        status, report = market.books()
        assert (status, report["findings"]) == (0, []), report
        assert report["periods"] >= 3, report
        papers = Papers(market)
        with scratch() as folder:
            papers.write(f"{folder}/same")
            assert audit(market, f"{folder}/same")[0] == 0
        policies(market)
        invented(market)
        strangers(market)
        routers(market)


def policies(market):
    """The auditor's own policy decides, not the router's."""
    other = market.file("other.yaml", OTHER)
    folder = market.state / "exports"
    status, text = audit(market, folder, "--policy", market.simulated)
    assert status == 0, text
    report = json.loads(text)
    assert report["not_checked"] == [], report
    # Two providers, of which one has a second key.
    assert len(report["providers"]) == 3, report["providers"]
    assert all((one["peer"], one["evidence"]) == ("simulated", ["simulated"])
               for one in report["providers"]), report["providers"]
    status, text = audit(market, folder)
    assert status == 0 and "no policy" in json.loads(text)["not_checked"][0], text
    assert audit(market, folder, "--policy", other, "--policy", market.simulated)[0] == 0
    status, text = audit(market, folder, "--policy", other)
    codes = [one["code"] for one in json.loads(text)["findings"]]
    assert status == 1 and "audit.evidence.none" in codes and len(set(codes)) > 1, codes


def invented(market):
    """A router cannot bill for a provider that nobody attested, nor by another's Evidence."""
    for change in (lambda lines: [], lambda lines: lines[:1] * len(lines),
                   lambda lines: [dict(lines[0], exported="11" * 32), *lines[1:]]):
        papers = Papers(market)
        lines = papers.periods[0][1]
        assert len(lines["evidence.jsonl"]) == 2
        lines["evidence.jsonl"] = change(lines["evidence.jsonl"])
        papers.sign_again()
        with scratch() as folder:
            papers.write(folder)
            status, text = audit(market, folder)
        codes = [one["code"] for one in json.loads(text)["findings"]]
        assert status == 1 and "audit.evidence.none" in codes, codes
        assert "audit.export.root" not in codes, codes


def strangers(market):
    """Without the router's key nothing can be changed, moved or left out."""
    survived = []
    for number, (name, lines) in enumerate(Papers(market).periods):
        for file in FILES:
            # Each line; and of a long one each field.
            for index in range(len(lines[file])):
                paths = leaves(lines[file][index]) if index == 0 and number == 1 else \
                    leaves(lines[file][index])[-1:]
                for path in paths:
                    papers = Papers(market)
                    found = papers.periods[number][1][file]
                    found[index] = changed(found[index], path)
                    survived += tried(market, papers, (name, file, index, path))
            for change in ("drop", "twice", "swap"):
                papers = Papers(market)
                found = papers.periods[number][1][file]
                if file == "offers.jsonl" and change != "drop" or len(found) < 2:
                    continue  # Their order says nothing, and the same twice is once.
                if change == "drop":
                    found.pop()
                elif change == "twice":
                    found.append(found[-1])
                else:
                    found[0], found[1] = found[1], found[0]
                survived += tried(market, papers, (name, file, change))
        for path in leaves(lines["root"]):
            papers = Papers(market)
            papers.periods[number][1]["root"] = changed(lines["root"], path)
            survived += tried(market, papers, (name, "root.json", path))
    papers = Papers(market)
    del papers.periods[1]
    survived += tried(market, papers, "a period left out")
    assert not survived, survived


# What a router can write otherwise with its own key and no auditor can see (Receipts.md): who the
# account is, when it was written, by which policy it chose, and what came of an attempt that did
# not serve; what it measured where that changes no weight, and why it left somebody out.
BLIND = {("account",), ("time_ms",), ("policy_hash",), ("attempts", "outcome"),
         ("candidates", "reason"), ("candidates", "measures"), ("request",)}


def routers(market):
    """A router that signs anew cannot change what is billed, to whom, or for what."""
    subject, survived = None, []
    for number, (_, lines) in enumerate(Papers(market).periods):
        for index, one in enumerate(lines["receipts.jsonl"]):
            if len(one["body"]["attempts"]) > 1 and one["body"]["service"]:
                subject = number, index, one["body"]
    number, index, body = subject
    for path in leaves(body):
        if path in (("prev",), ("service", "key"), ("service", "signature")):
            continue  # Signed anew, or unreadable.
        papers = Papers(market)
        one = papers.periods[number][1]["receipts.jsonl"][index]
        one["body"] = changed(one["body"], path)
        papers.sign_again()
        survived += tried(market, papers, path)
    decisions = Papers(market).periods[number][1]["decisions.jsonl"]
    place = [one["receipt_id"] for one in decisions].index(body["receipt_id"])
    for path in leaves(decisions[place]):
        papers = Papers(market)
        lines = papers.periods[number][1]
        one = lines["decisions.jsonl"][place] = changed(decisions[place], path)
        lines["receipts.jsonl"][index]["body"]["candidates_root"] = merkle([
            json.dumps(part, sort_keys=True, separators=(",", ":")).encode()
            for part in (one["request"], *one["candidates"])]).hex()
        papers.sign_again()
        survived += tried(market, papers, path)
    unknown = [path for path in survived
               if tuple(part for part in path if isinstance(part, str)) not in BLIND
               and tuple(part for part in path if isinstance(part, str))[:2] not in BLIND
               and path[:1] not in BLIND]
    assert not unknown, unknown
    # And it leaves none out, and bills none twice.
    for change in ("drop", "twice"):
        papers = Papers(market)
        lines = papers.periods[number][1]
        for file, spot in (("receipts.jsonl", index), ("decisions.jsonl", place)):
            if change == "drop":
                lines[file].pop(spot)
            else:
                lines[file].insert(spot, copy.deepcopy(lines[file][spot]))
        root = lines["root"]["body"]
        count = 0
        for _, each in papers.periods:
            each["root"]["body"]["first_seq"] = count + 1 if each["receipts.jsonl"] else 0
            for one in each["receipts.jsonl"]:
                count += 1
                one["body"]["seq"] = count
            each["root"]["body"]["last_seq"] = count if each["receipts.jsonl"] else 0
        root["count"] = len(lines["receipts.jsonl"])
        papers.sign_again()
        assert not tried(market, papers, change), change


def tried(market, papers, what):
    """A list of `what` where the audit finds nothing."""
    with scratch() as folder:
        papers.write(folder)
        status, text = audit(market, folder)
    assert status in (0, 1, 2), (what, text)
    return [what] if status == 0 else []
