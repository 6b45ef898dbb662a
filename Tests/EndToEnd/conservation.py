"""Sum of receipts = sum of the ledger = sum of exports, however often routers and the database are
killed.

    conservation.py LEDGERRUN RATEL [KILLS_SQLITE KILLS_POSTGRESQL [SEED]]
"""

import json
import pathlib
import random
import selectors
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding, NoEncryption, PrivateFormat, PublicFormat)

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "Support"))

import postgresql  # noqa: E402


class SQLite:
    name = "SQLite"

    def __init__(self, folder):
        self.place = str(pathlib.Path(folder) / "ledger.sqlite")

    def query(self, text):
        with sqlite3.connect(f"file:{self.place}?mode=ro", uri=True, timeout=30) as database:
            return [[str(value) for value in row] for row in database.execute(text)]

    def kill(self, chance):
        """It has no process of its own: whoever writes is it."""
        return False


class PostgreSQL:
    name = "PostgreSQL"

    def __init__(self, server):
        self.server, self.place = server, server.url
        self.kills = 0

    def query(self, text):
        return self.server.query(text)

    def kill(self, chance):
        """One time in two the server goes too, while routers write."""
        if chance.random() < 1 / 2:
            return False
        self.server.kill()
        self.kills += 1
        time.sleep(chance.uniform(0, 0.3))  # Routers try again meanwhile.
        self.server.start()
        return True


class Router:
    """One key, its provider, and the process that is killed and started again."""

    def __init__(self, program, database, folder):
        self.program, self.database = program, database
        self.folder = pathlib.Path(folder)
        self.folder.mkdir()
        for name in ("router", "provider"):
            key = ec.generate_private_key(ec.SECP256R1())
            (self.folder / f"{name}.key").write_bytes(key.private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            (self.folder / f"{name}.pem").write_bytes(key.public_key().public_bytes(
                Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        self.child, self.answered, self.half, self.is_ready = None, {}, "", False

    def start(self, seed, what="serve"):
        self.is_ready = False
        with open(self.folder / "errors", "ab") as errors:
            self.child = subprocess.Popen(
                [self.program, self.database.place, self.folder, str(seed), what],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors)

    def run(self, seconds):
        """Takes in what it says for so long; a pipe that nobody reads is full soon."""
        end = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self.child.stdout, selectors.EVENT_READ)
            while (left := end - time.monotonic()) > 0:
                if selector.select(left) and not self.take(self.child.stdout.read1(1 << 16)):
                    return

    def run_until_it_serves(self):
        end = time.monotonic() + 60
        while not self.is_ready:
            assert time.monotonic() < end and self.child.poll() is None, self.errors()
            self.run(0.01)

    def errors(self):
        return (self.folder / "errors").read_text()[-2000:]

    def kill(self):
        self.child.send_signal(signal.SIGKILL)
        while self.take(self.child.stdout.read1(1 << 16)):
            pass
        status = self.child.wait()
        assert status == -signal.SIGKILL, \
            f"it ended by itself with {status}: {self.errors()}"
        self.half = ""  # A line that the kill cut off.

    def take(self, data):
        *lines, self.half = (self.half + data.decode()).split("\n")
        for line in lines:
            if line == "ready":
                self.is_ready = True
                continue
            identifier, sequence, digest, cost = line.split()
            assert self.answered.setdefault(identifier, (sequence, digest, cost)) \
                == (sequence, digest, cost), f"{identifier} was answered in two ways"
        return data

    def settle(self):
        self.start(0, "settle")
        assert self.child.wait(120) == 0, self.errors()


def killed(database, routers, kills, chance):
    """Runs the routers until they were killed so often; sums hold after each.

    One kill in four may come while they start and settle what the one before left; a period of
    exports, a second, ends in every few runs.
    """
    for number in range(kills):
        for router in routers:
            router.start(chance.getrandbits(60))
        if chance.random() < 3 / 4:
            for router in routers:
                router.run_until_it_serves()
        for router in routers:
            router.run(chance.uniform(0, 0.3))
        if database.kill(chance):
            for router in routers:
                router.run(chance.uniform(0, 0.3))
        for router in routers:
            router.kill()
        check_sums(database)


def check_sums(database):
    """What accounts have is what their receipts and reservations say, and nobody overdraws."""
    if database.name == "SQLite" and not pathlib.Path(database.place).exists():
        return
    rows = database.query("""
        SELECT account, credits, billed, reserved, terms,
            COALESCE((SELECT SUM(cost_nusd) FROM receipts r WHERE r.account = a.account), 0),
            COALESCE((SELECT SUM(billed) FROM spending s WHERE s.account = a.account), 0),
            COALESCE((SELECT SUM(reserve) FROM pending p WHERE p.account = a.account), 0),
            COALESCE((SELECT SUM(amount) FROM credits c WHERE c.account = a.account), 0)
        FROM accounts a""") if has_tables(database) else []
    for account, credits_, billed, reserved, terms, receipts, days, pending, paid in rows:
        assert billed == receipts == days, (account, billed, receipts, days)
        assert (reserved, credits_) == (pending, paid), (account, reserved, pending)
        if terms == "prepaid":
            assert int(billed) + int(reserved) <= int(credits_), (account, billed, reserved)


def has_tables(database):
    """A kill may come before there are any."""
    name = "sqlite_master" if database.name == "SQLite" else "pg_class"
    column = "name" if database.name == "SQLite" else "relname"
    return database.query(f"SELECT 1 FROM {name} WHERE {column} = 'pending'") != []


def check(database, routers, ratel):
    """All that was promised, and what an auditor finds of it. Answers the receipts."""
    for router in routers:
        router.settle()
    check_sums(database)
    assert database.query("SELECT COUNT(*) FROM pending") == [["0"]]
    assert database.query("SELECT SUM(reserved) FROM accounts") == [["0"]]
    blob = "lower(hex({}))" if database.name == "SQLite" else "encode({}, 'hex')"
    written, bills = {}, {}
    for router, identifier, sequence, digest, cost in database.query(f"""
            SELECT {blob.format('router')}, id, seq, {blob.format('digest')}, cost_nusd
            FROM receipts ORDER BY router, seq"""):
        own = written.setdefault(router, {})
        assert identifier not in own, f"{identifier} stands twice"
        own[identifier] = (sequence, digest, cost)
        assert int(sequence) == len(own), f"{identifier}: place {sequence} of {len(own)}"
    facts = 0
    for router in routers:
        found = audited(router, ratel)
        own = next(one for one in written.values() if router.answered.keys() <= one.keys())
        for identifier, receipt in router.answered.items():
            assert own[identifier] == receipt, f"{identifier} was answered and is not written"
        assert found["receipts"] == len(own), (found["receipts"], len(own))
        for bill in found["bills"]:
            bills[bill["account"]] = bills.get(bill["account"], 0) + bill["cost_nusd"]
        facts += check_services(router)
    sums = {account: int(billed) for account, billed in database.query(
        "SELECT account, billed FROM accounts WHERE account IN (SELECT account FROM receipts)")}
    assert bills == sums, (bills, sums)
    total = sum(len(one) for one in written.values())
    assert total > 0 and facts > 0, "nothing was served"
    return total, sum(bills.values()), sum(len(router.answered) for router in routers)


def audited(router, ratel):
    done = subprocess.run(
        [ratel, "audit", router.folder / "exports", "--key", router.folder / "router.pem",
         "--json", "--without-evidence"], capture_output=True, text=True)
    found = json.loads(done.stdout) if done.returncode in (0, 1) else {}
    assert done.returncode == 0 and found["adds_up"], (done.stdout + done.stderr)[:2000]
    return found


def check_services(router):
    """Each service that the provider signed is in one receipt: none is free, none is billed twice.
    """
    signed = (router.folder / "provider.jsonl").read_text().splitlines()
    signed = {json.loads(line)["signature"] for line in signed}
    billed = []
    for path in (router.folder / "exports").glob("*/receipts.jsonl"):
        for line in path.read_text().splitlines():
            service = json.loads(line)["body"]["service"]
            if service:
                billed.append(service["signature"])
    assert len(billed) == len(set(billed)) and set(billed) == signed, \
        (len(billed), len(set(billed)), len(signed))
    return len(billed)


def on_sqlite(program, ratel, kills, chance):
    with tempfile.TemporaryDirectory(prefix="ratel-conservation-") as folder:
        database = SQLite(folder)
        routers = [Router(program, database, f"{folder}/router")]
        killed(database, routers, kills, chance)
        return report(database, kills, check(database, routers, ratel))


def on_postgresql(program, ratel, kills, chance):
    """Two routers with their own keys, one database, the same accounts."""
    with postgresql.running() as server, \
            tempfile.TemporaryDirectory(prefix="ratel-conservation-") as folder:
        database = PostgreSQL(server)
        routers = [Router(program, database, f"{folder}/router-{one}") for one in range(2)]
        killed(database, routers, kills // 2, chance)
        found = check(database, routers, ratel)
        return report(database, kills // 2 * 2, found) + f", {database.kills} of the server"


def report(database, kills, found):
    receipts, cost, answered = found
    return f"{database.name}: {receipts} receipts, {answered} of them answered before a kill, " \
        f"{cost} nano-dollars in ledger and exports, {kills} kills"


def main():
    program, ratel = sys.argv[1:3]
    sqlite, postgres = [int(word) for word in sys.argv[3:5]] or (200, 40)
    seed = int(sys.argv[5]) if len(sys.argv) > 5 else 1
    print(f"seed {seed}", flush=True)
    print(on_sqlite(program, ratel, sqlite, random.Random(seed)), flush=True)
    print(on_postgresql(program, ratel, postgres, random.Random(seed)), flush=True)


if __name__ == "__main__":
    main()
