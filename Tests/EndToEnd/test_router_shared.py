"""Two routers on one ledger in PostgreSQL: one balance, one account, every receipt at each."""

import copy
import threading
from concurrent.futures import ThreadPoolExecutor

from harness import free_port, scratch, wait_until
from marketplace import Market
from postgresql import PostgreSQL  # harness names the folder

CREDIT = 200_000


def replica(market):
    """Another router of the same file and ledger, with a key of its own."""
    other = copy.copy(market)
    other.port, other.router_port, other.admin_port = free_port(), free_port(), free_port()
    other.url, other.state = f"http://127.0.0.1:{other.port}", market.folder / "other"
    return other.route()


def test_two_routers_know_a_caller_as_one(context):
    keys = [{"name": "paid", "key": "sk-paid", "billing": "prepaid",
             "credits": [{"reference": "r1", "amount": CREDIT}]},
            {"name": "bob", "key": "sk-bob", "billing": "postpaid"}]
    with scratch() as folder, Market(context.ratel, keys=keys) as market:
        postgres = PostgreSQL(folder)
        postgres.start()
        market.stack.callback(postgres.stop)
        market.words = ["--ledger", postgres.url]
        market.provider("only", pace=0.02)
        routers = [market.route(), replica(market)]

        # The credit is one, though both read it.
        assert postgres.query("SELECT credits FROM accounts WHERE credits > 0") == [[str(CREDIT)]]
        # Sixteen at once, at both, against a balance that covers what some of them may cost.
        gate = threading.Barrier(16)

        def ask(number):
            gate.wait()
            return routers[number % 2].chat("word", key="sk-paid", max_tokens=4)

        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(ask, range(16)))
        assert {status for status, _, _ in answers} == {200, 402}, answers
        [row] = postgres.query("SELECT billed, reserved FROM accounts WHERE credits > 0")
        billed, reserved = map(int, row)
        assert 0 < billed + reserved <= CREDIT, (billed, reserved)
        # Each answers for what the other wrote, to whose it is.
        for number, (status, headers, _) in enumerate(answers):
            if status != 200:
                continue
            path = f"/v1/ratel/receipts/{headers['X-Ratel-Receipt-Id']}"
            for router in routers:
                status, _, body = router.get(path, key="sk-paid")
                assert status == 200, (number, status, body)
                assert router.get(path, key="sk-bob")[0] == 404
        accounts = postgres.query(
            "SELECT DISTINCT account FROM receipts WHERE account <> 'ratel-canary'")
        assert len(accounts) == 1, accounts
        wait_until(lambda: sum(len(one.exported("receipts.jsonl")) for one in routers) == int(
            postgres.query("SELECT count(*) FROM receipts")[0][0]), 30, "everything exported")
        for router in routers:
            status, report = router.audit()
            assert (status, report["findings"]) == (0, []), report
