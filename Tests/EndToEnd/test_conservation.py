"""No request is billed twice or for nothing: some of the kills of `make conservation`."""

import pathlib
import random

import conservation


def program(context):
    return pathlib.Path(context.ratel).parent / "LedgerRun"


def test_a_ledger_in_sqlite_adds_up_after_kills(context):
    print("    " + conservation.on_sqlite(program(context), context.ratel, 24, random.Random(1)))


def test_a_ledger_in_postgresql_adds_up_after_kills_of_routers_and_server(context):
    print("    " + conservation.on_postgresql(
        program(context), context.ratel, 12, random.Random(2)))
