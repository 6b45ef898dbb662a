"""`ratel audit` over exports that another implementation wrote from the formulas."""

import json
import pathlib
import subprocess

from bookkeeper import Bookkeeper, weigh
from harness import scratch


def audit(context, folder, key, *options):
    return subprocess.run([context.ratel, "audit", folder, "--key", key, *options],
                          capture_output=True, text=True)


def bills_alone(context, folder, key, *options):
    """Its providers have no Evidence."""
    return audit(context, folder, key, "--without-evidence", *options)


def written(folder, count=25, change=None):
    book = Bookkeeper()
    bills = {}
    for number in range(count):
        account, end = f"account-{number % 3}", ("complete", "cancelled", "error")[number % 3]
        cost = book.serve(f"r-{number}", account, (1000 + number, 200, number), end,
                          change if number == count // 2 else None)
        requests, sum_ = bills.get(account, (0, 0))
        bills[account] = (requests + 1, sum_ + cost)
    return (*book.export(folder), bills)


def test_another_implementations_bills_are_recomputed_to_the_nano_dollar(context):
    with scratch() as folder:
        _, key, bills = written(folder)
        found = bills_alone(context, folder, key, "--json")
        assert found.returncode == 0, found.stdout + found.stderr
        assert "Evidence: left out" in json.loads(found.stdout)["not_checked"][0]
        report = json.loads(found.stdout)
        assert report["adds_up"] is True and report["findings"] == []
        assert {one["account"]: (one["requests"], one["cost_nusd"]) for one in report["bills"]} \
            == bills
        table = bills_alone(context, folder, key).stdout
        assert table.startswith("EVERYTHING ADDS UP") and "account-0" in table, table
        assert f"$0.{bills['account-0'][1]:09d}" in table, table


def test_a_router_that_takes_more_is_named(context):
    def dearer(body):
        body["cost_nusd"] += 1

    with scratch() as folder:
        _, key, _ = written(folder, change=dearer)
        found = bills_alone(context, folder, key)
        assert found.returncode == 1 and found.stdout.startswith("IT DOES NOT ADD UP")
        assert "audit.cost" in found.stdout and "r-12" in found.stdout, found.stdout


def test_a_receipt_of_another_period_is_named(context):
    def later(body):
        body["time_ms"] += 3_600_000

    with scratch() as folder:
        _, key, _ = written(folder, change=later)
        found = bills_alone(context, folder, key)
        assert found.returncode == 1 and "audit.period.time" in found.stdout, found.stdout
        assert found.stdout.count("audit.") == 1, found.stdout


def test_a_router_that_favours_its_own_is_named(context):
    def heavier(request, candidates):
        candidates[0]["weight"] *= 2

    def cheaper(request, candidates):
        candidates[0]["measures"]["cost_nusd"] -= 1
        weigh(request, candidates)

    for favour, code in ((heavier, "audit.decision.weights"), (cheaper, "audit.decision.cost")):
        with scratch() as folder:
            book = Bookkeeper()
            book.serve("r-0", "a", favour=favour)
            _, key = book.export(folder)
            found = bills_alone(context, folder, key)
            assert found.returncode == 1 and code in found.stdout, found.stdout


def test_files_that_were_changed_or_are_another_routers_are_named(context):
    with scratch() as folder:
        hour, key, _ = written(folder)
        receipts = hour / "receipts.jsonl"
        lines = receipts.read_text().splitlines(keepends=True)
        receipts.write_text("".join(lines[:5] + lines[6:]))
        found = bills_alone(context, folder, key)
        assert found.returncode == 1, found.stdout
        assert "audit.receipt.gap" in found.stdout and "audit.export.root" in found.stdout
        receipts.write_text("".join(lines[:-1]) + "{")
        assert bills_alone(context, folder, key).returncode == 2
        receipts.write_text("".join(lines))
        assert bills_alone(context, folder, key).returncode == 0
        other = pathlib.Path(folder) / "other"
        other.mkdir()
        _, stranger, _ = written(other, 1)
        found = audit(context, folder, stranger)
        assert found.returncode == 2 and "audit.router.key" in found.stdout, found.stdout


def test_an_export_that_is_being_written_is_left_out(context):
    with scratch() as folder:
        _, key, _ = written(folder)
        half = pathlib.Path(folder) / ".2027-01-15T09-00-00Z.new"
        half.mkdir()
        (half / "root.json").write_text("")
        found = bills_alone(context, folder, key)
        assert found.returncode == 0, found.stdout + found.stderr


def test_nothing_to_audit_is_said(context):
    with scratch() as folder:
        _, key, _ = written(folder, 1)
        empty = pathlib.Path(folder) / "empty"
        empty.mkdir()
        found = audit(context, empty, key)
        assert found.returncode == 78 and "a folder for each period" in found.stderr
        found = audit(context, folder, empty / "none.pem")
        assert found.returncode == 78 and "cannot be read" in found.stderr


def test_providers_without_evidence_are_named(context):
    with scratch() as folder:
        _, key, _ = written(folder)
        found = audit(context, folder, key, "--json")
        codes = [one["code"] for one in json.loads(found.stdout)["findings"]]
        assert found.returncode == 1 and set(codes) == {"audit.evidence.none"}, found.stdout
        both = bills_alone(context, folder, key, "--policy", "policy.yaml")
        assert both.returncode == 78 and "name only one" in both.stderr, both.stderr
