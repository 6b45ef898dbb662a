"""The settlement adapters: what they make of an export, and what they refuse."""

import csv
import json
import pathlib
import subprocess
import sys

from bookkeeper import Bookkeeper
from harness import scratch

ADAPTERS = pathlib.Path(__file__).resolve().parent.parent.parent / "Examples" / "settlement"
PAYEE = "0x" + "ab" * 20


def written(folder, accounts=("account-0", "account-1"), count=11):
    book = Bookkeeper()
    for number in range(count):
        end = ("complete", "cancelled", "error")[number % 3]
        book.serve(f"r-{number}", accounts[number % len(accounts)], (1000 + number, 200, 7), end)
    book.export(folder)
    return book


def audit(context, folder):
    return subprocess.run(
        [context.ratel, "audit", folder, "--key", pathlib.Path(folder) / "router.pem", "--json",
         "--without-evidence"],
        capture_output=True, text=True).stdout


def adapt(name, folder, report, *options):
    output = pathlib.Path(folder) / name
    done = subprocess.run(
        [sys.executable, ADAPTERS / f"{name}.py", folder, output, *options], input=report,
        capture_output=True, text=True)
    return done, output


def bill(book, account):
    return sum(one["body"]["cost_nusd"] for one in book.receipts
               if one["body"]["account"] == account)


def test_an_invoice_has_each_request_and_their_sum(context):
    with scratch() as folder:
        book = written(folder)
        done, output = adapt("invoice", folder, audit(context, folder))
        assert done.returncode == 0, done.stderr
        assert sorted(path.name for path in output.iterdir()) \
            == ["account-0.csv", "account-1.csv"]
        rows = list(csv.DictReader((output / "account-0.csv").open()))
        assert [row["receipt"] for row in rows[:-1]] == [f"r-{one}" for one in range(0, 11, 2)]
        assert sum(int(row["cost_nusd"]) for row in rows[:-1]) == bill(book, "account-0") \
            == int(rows[-1]["cost_nusd"]) == round(float(rows[-1]["cost_usd"]) * 10**9)
        assert rows[0]["time"] == "2027-01-15T08:00:00Z" and rows[0]["in"] == "1000", rows[0]


def test_a_payment_is_rounded_up_to_what_usdc_has(context):
    with scratch() as folder:
        book = written(folder)
        done, output = adapt(
            "x402", folder, audit(context, folder), "--pay-to", PAYEE, "--account", "account-1")
        assert done.returncode == 0, done.stderr
        assert [path.name for path in output.iterdir()] == ["account-1.json"]
        required = json.loads((output / "account-1.json").read_text())
        owed = bill(book, "account-1")
        (accepted,) = required["accepts"]
        assert owed % 1000 and int(accepted["amount"]) == owed // 1000 + 1, (owed, accepted)
        assert required["x402Version"] == 2 and f"{owed} nano-dollars" in \
            required["resource"]["description"], required
        # The members of PaymentRequirements in the specification's version 2.
        assert set(accepted) == {"scheme", "network", "amount", "asset", "payTo",
                                 "maxTimeoutSeconds", "extra"}
        assert accepted["payTo"] == PAYEE and accepted["scheme"] == "exact"


def test_what_does_not_add_up_is_not_settled(context):
    with scratch() as folder:
        written(folder)
        report = audit(context, folder)
        receipts = pathlib.Path(folder) / "2027-01-15T08-00-00Z" / "receipts.jsonl"
        lines = receipts.read_text().splitlines(keepends=True)
        receipts.write_text("".join(lines[:-1]))
        for now, word in ((report, "other exports"),
                          (audit(context, folder), "does not add up")):
            for name, options in (("invoice", []), ("x402", ["--pay-to", PAYEE])):
                done, output = adapt(name, folder, now, *options)
                assert done.returncode == 1 and word in done.stderr, done.stderr
                assert not list(output.iterdir())


def test_names_are_neither_paths_nor_formulas(context):
    with scratch() as folder:
        written(folder, accounts=("../../outside", "=cmd()"), count=4)
        report = audit(context, folder)
        done, output = adapt("invoice", folder, report)
        assert done.returncode == 0, done.stderr
        assert all(path.name.startswith("sha256-") for path in output.iterdir())
        done, _ = adapt("x402", folder, report, "--pay-to", "0x12")
        assert done.returncode == 1 and "--pay-to" in done.stderr
        done, _ = adapt("invoice", folder, report, "--account", "nobody")
        assert done.returncode == 1 and "nobody" in done.stderr
