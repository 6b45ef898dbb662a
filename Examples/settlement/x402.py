"""One payment requirement for each account that owes anything, as x402 (version 2) writes it.

    ratel audit exports --key router.pem --json | python3 x402.py exports payments --pay-to 0x…

The amount is in the smallest unit of USDC, a millionth of a dollar. A bill is in billionths, and is
rounded up once, by less than a millionth of a dollar; each file says what it was before. Nothing is
paid here: whoever answers with 402 sends the object, and a facilitator checks and settles it.
"""

import json
import re

from exports import Refused, accounts, arguments, cost, dollars, file_name, run

# USDC's contracts, as Circle publishes them, and the name that is signed there (EIP-712).
NETWORKS = {
    "eip155:8453": ("0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913", "USD Coin"),
    "eip155:84532": ("0x036CbD53842c5426634e7929541eC2318f3dCF7e", "USDC"),
}
NANO_PER_UNIT = 1_000


def main():
    given = arguments(
        __doc__,
        pay_to={"required": True, "help": "who is paid: an address, 0x and 40 digits"},
        network={"default": "eip155:84532", "choices": NETWORKS,
                 "help": "Base, or Base Sepolia for tests (the default)"},
        resource={"default": "https://router.example/settlement",
                  "help": "where the payment is asked for"},
        timeout={"default": 300, "type": int, "help": "seconds that a payment may take"})
    if not re.fullmatch(r"0x[0-9a-fA-F]{40}", given.pay_to):
        raise Refused(f"--pay-to: expected 0x and 40 hexadecimal digits, got {given.pay_to}")
    given.output.mkdir(parents=True, exist_ok=True)
    for account, receipts in accounts(given.exports, given.account).items():
        owed = cost(receipts)
        if owed == 0:
            continue
        amount = -(-owed // NANO_PER_UNIT)
        path = given.output / file_name(account, ".json")
        path.write_text(json.dumps(required(given, account, receipts, amount), indent=2) + "\n")
        print(f"{path}: ${dollars(owed)}, rounded up to {amount} units of USDC")


def required(given, account, receipts, amount):
    asset, name = NETWORKS[given.network]
    first, last = receipts[0]["receipt_id"], receipts[-1]["receipt_id"]
    return {
        "x402Version": 2,
        "error": "payment is due",
        "resource": {
            "url": f"{given.resource}/{file_name(account, '')}",
            "description":
                f"{len(receipts)} requests from {first} to {last}: {cost(receipts)} nano-dollars, "
                "rounded up to a millionth of a dollar",
            "mimeType": "application/json"},
        "accepts": [{
            "scheme": "exact", "network": given.network, "amount": str(amount), "asset": asset,
            "payTo": given.pay_to, "maxTimeoutSeconds": given.timeout,
            "extra": {"name": name, "version": "2"}}]}


if __name__ == "__main__":
    run(main)
