"""Recorded answers of real servers arrive byte for byte, however the network cut them."""

import os
import pathlib
import random
import time

from wire import Answer, Client

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CAPTURES = pathlib.Path(os.environ.get("RATEL_SHARED", ROOT.parent / "shared")) / "captures"
HOP = {"connection", "keep-alive", "transfer-encoding", "date"}


class Recorded(Client):
    """Reads a recording as if it came from a socket."""

    def __init__(self, data):
        self.buffer = data

    def fill(self):
        return False


def read(data):
    answer = Answer()
    reader = Recorded(data)
    reader.head(answer)
    while answer.status < 200:
        answer.interim.append(answer.status)
        reader.head(answer)
    reader.body(answer, "POST")
    return answer


def replaying(data, chance):
    """Sends the recording in pieces of any size, some with a pause between."""

    def handler(connection):
        connection.request()
        place = 0
        while place < len(data):
            size = chance.choice([1, 2, 7, 100, 1448, 5000, 70000])
            connection.send(data[place : place + size])
            place += size
            if chance.random() < 0.1:
                time.sleep(0.001)

    return handler


def test_recorded_answers(context):
    files = sorted(CAPTURES.glob("*/*.raw"))
    if not files:
        print(f"    skipped: no recorded traffic at {CAPTURES}")
    chance = random.Random(1)
    for path in files:
        data = path.read_bytes()
        wanted = read(data)
        assert wanted.complete, path
        for version in ("1.1", "1.1", "1.0"):
            context.backend.handler = replaying(data, chance)
            got = ask(context, version)
            place = f"{path.parent.name}/{path.name} for HTTP/{version}"
            assert got.complete and got.status == wanted.status, f"{place}: {got.status}"
            assert got.body == wanted.body, place
            kept = [[f for f in a.fields if f[0] not in HOP] for a in (wanted, got)]
            assert kept[0] == kept[1], f"{place}: {kept}"
            if version == "1.1":
                assert got.interim == wanted.interim, place
                # HTTP/2 between the two knows no chunks.
                assert bool(got.chunks) == bool(wanted.chunks), place
            else:
                assert got.field("transfer-encoding") is None and not got.interim, place
    print(f"    {len(files)} recordings, three times each")


def ask(context, version):
    with Client(context.port) as client:
        client.send(f"POST / HTTP/{version}\r\nHost: h\r\nContent-Length: 0\r\n\r\n".encode())
        return client.answer("POST")
