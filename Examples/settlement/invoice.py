"""One CSV for each account of a router's exports: a line for each request, and their sum.

    ratel audit exports --key router.pem --json | python3 invoice.py exports invoices
"""

import csv
import datetime

from exports import accounts, arguments, cost, dollars, file_name, run

COLUMNS = ["time", "receipt", "model", "in", "cached", "out", "end", "cost_nusd", "cost_usd"]


def main():
    given = arguments(__doc__)
    given.output.mkdir(parents=True, exist_ok=True)
    for account, receipts in accounts(given.exports, given.account).items():
        path = given.output / file_name(account, ".csv")
        with open(path, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(line(receipt) for receipt in receipts)
            total = cost(receipts)
            writer.writerow(["total", f"{len(receipts)} requests", "", "", "", "", "", total,
                             dollars(total)])
        print(f"{path}: {len(receipts)} requests, ${dollars(total)}")


def line(receipt):
    time = datetime.datetime.fromtimestamp(receipt["time_ms"] // 1000, datetime.UTC)
    service = (receipt["service"] or {}).get("body", {})
    usage = receipt["usage"]
    return [time.strftime("%Y-%m-%dT%H:%M:%SZ"), text(receipt["receipt_id"]),
            text(service.get("model", "")), usage["in"], usage["cached"], usage["out"],
            receipt["end"], receipt["cost_nusd"], dollars(receipt["cost_nusd"])]


def text(value):
    """What begins like a formula is none: a spreadsheet would run a provider's model name."""
    return "'" + value if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


if __name__ == "__main__":
    run(main)
