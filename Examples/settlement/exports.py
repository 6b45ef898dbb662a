"""What the adapters read: the exports of a router, once `ratel audit` found that they add up."""

import argparse
import hashlib
import json
import pathlib
import re
import sys

# What a file may be called by; an account is what a router writes, and may be anything.
NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")


class Refused(Exception):
    pass


def arguments(description, **options):
    """`adapter EXPORTS OUTPUT [--account ACCOUNT ...]`, and the adapter's own options."""
    parser = argparse.ArgumentParser(
        description=description, epilog="reads the report of `ratel audit --json` on its input",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exports", type=pathlib.Path, help="a folder with a folder per period")
    parser.add_argument("output", type=pathlib.Path, help="a folder for one file per account")
    parser.add_argument("--account", action="append", help="this account alone; may be repeated")
    for name, option in options.items():
        parser.add_argument("--" + name.replace("_", "-"), **option)
    return parser.parse_args()


def run(adapter):
    try:
        adapter()
    except Refused as why:
        sys.exit(f"refused: {why}")


def accounts(exports, only=None, report=sys.stdin):
    """The receipts of each account in their order. Refused unless they are those of the audit."""
    audit = json.load(report)
    if audit.get("adds_up") is not True:
        raise Refused("the audit found what does not add up; settle nothing before it is cleared")
    found = {}
    # What begins with a dot is being written.
    for folder in sorted(path.parent for path in exports.glob("[!.]*/root.json")):
        for line in (folder / "receipts.jsonl").read_text().splitlines():
            receipt = json.loads(line)["body"]
            found.setdefault(receipt["account"], []).append(receipt)
    # An audit of other exports, or exports that grew since.
    sums = {account: (len(all_), cost(all_)) for account, all_ in found.items()}
    audited = {one["account"]: (one["requests"], one["cost_nusd"]) for one in audit["bills"]}
    if sums != audited:
        raise Refused("the audit is of other exports than these: run it again")
    unknown = set(only or []) - set(found)
    if unknown:
        raise Refused(f"the exports have no account {', '.join(sorted(unknown))}")
    return {account: found[account] for account in sorted(only or found)}


def cost(receipts):
    """Nano-dollars, as whole numbers: floating point has no place in a bill."""
    return sum(receipt["cost_nusd"] for receipt in receipts)


def dollars(nano):
    return f"{nano // 10**9}.{nano % 10**9:09d}"


def file_name(account, suffix):
    if NAME.fullmatch(account):
        return account + suffix
    return "sha256-" + hashlib.sha256(account.encode()).hexdigest() + suffix
