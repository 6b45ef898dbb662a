"""Runs one test and says how it went: what the runners of the suites share."""

import sys
import time
import traceback


class Skipped(Exception):
    """What is missing on this machine, for a test that cannot run without it."""


def attempt(name, test, *arguments):
    """`passed`, `failed` or `skipped`."""
    started = time.monotonic()
    try:
        test(*arguments)
        outcome, sign = "passed", "✔"
    except Skipped as why:
        print(f"    {why}")
        outcome, sign = "skipped", "-"
    except Exception:
        traceback.print_exc(limit=-4, file=sys.stdout)
        outcome, sign = "failed", "✘"
    print(f"  {sign} {name} ({time.monotonic() - started:.2f} s)", flush=True)
    return outcome
