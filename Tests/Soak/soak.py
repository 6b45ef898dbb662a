"""What only shows over minutes: signs of life of silent connections, and that nothing is kept.

soak.py RATEL [SECONDS]        the churn lasts SECONDS (300)
"""

import pathlib
import random
import sys
import threading
import time
import types

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "EndToEnd"))

import rawh2  # noqa: E402
from backend import CHUNKED, Backend  # noqa: E402
from harness import Stack, wait_until  # noqa: E402
from test_http2 import serving  # noqa: E402
from wire import Client, get  # noqa: E402


def main():
    ratel = sys.argv[1]
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 300
    backend = Backend()
    context = types.SimpleNamespace(ratel=ratel, backend=backend)
    failed = 0
    for name, check in (("signs of life", signs_of_life),
                        ("churn", lambda context: churn(context, seconds))):
        try:
            check(context)
            print(f"  ok    {name}", flush=True)
        except AssertionError as error:
            failed += 1
            print(f"  FAIL  {name}: {error}", flush=True)
    print(f"{2 - failed} passed, {failed} failed")
    return 1 if failed else 0


def signs_of_life(context):
    """A silent connection with an open stream is asked after 30 s; who answers stays, who does not
    is gone 60 s later, and its stream with it."""
    ended = []

    def holding(connection):
        connection.request()
        ended.append(connection.wait_for_end(200))

    context.backend.handler = holding
    with serving(context) as port, rawh2.RawH2(port) as answers, rawh2.RawH2(port) as silent:
        for client in (answers, silent):
            client.socket.settimeout(120)
            client.request(1)
        asked = silent.until(lambda f: f.kind == rawh2.PING and not f.flags & rawh2.ACK)[-1]
        other = answers.until(lambda f: f.kind == rawh2.PING and not f.flags & rawh2.ACK)[-1]
        assert len(asked.payload) == len(other.payload) == 8
        answers.send(rawh2.PING, rawh2.ACK, payload=other.payload)
        while frame := silent.frame():
            assert frame.kind in (rawh2.PING, rawh2.GOAWAY), frame
        wait_until(lambda: ended, 5, "the silent stream's end at the backend")
        assert answers.outcome()[0] == "fine" and ended == [True]


def churn(context, seconds):
    """Callers that come, read some and leave: memory and descriptors are back at the end."""
    chance = random.Random(7)

    def streaming(connection):
        request = connection.request()
        connection.send(CHUNKED)
        for number in range(int(request.target.rsplit("/", 1)[1])):
            connection.chunk(b"data: %d\n\n" % number)
            time.sleep(0.001)
        connection.send(b"0\r\n\r\n")

    context.backend.handler = streaming
    with Stack(context.ratel, f"http://127.0.0.1:{context.backend.port}") as stack:
        sides = (stack.serve, stack.connect)
        work(stack.port, chance, 20)
        before = [(side.resident(), side.descriptors()) for side in sides]
        done = work(stack.port, chance, seconds)
        time.sleep(5)
        assert get(stack.port, "/3").complete
        for side, (memory, descriptors) in zip(sides, before):
            grown, more = side.resident() - memory, side.descriptors() - descriptors
            print(f"    {side.name}: {grown} KiB and {more} descriptors more after {done} requests")
            # 4 MiB: what glibc's heaps differ by from one run to the next.
            assert grown < 4096 and more <= 40, (side.name, grown, more)


def work(port, chance, seconds):
    """Callers in 16 threads until the time is over; answers how many there were."""
    end, done, wrong = time.monotonic() + seconds, [], []

    def caller(seed):
        chance = random.Random(seed)
        while time.monotonic() < end and not wrong:
            count = chance.choice([0, 1, 10, 50, 200])
            with Client(port) as client:
                client.send(b"POST /%d HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n" % count)
                client.send(b"x" * chance.choice([9, 9, 9, 4]))
                if chance.random() < 0.4:
                    time.sleep(chance.random() / 20)
                    continue  # It leaves, having read nothing or a part.
                if chance.random() < 0.8:
                    client.send(b"x" * 5)
                client.socket.settimeout(5)
                try:
                    got = client.answer("POST")
                except TimeoutError:
                    continue
                wanted = b"".join(b"data: %d\n\n" % number for number in range(count))
                if got.status == 200 and got.complete and got.body != wanted:
                    wrong.append((count, got.body[:100]))
            done.append(1)

    threads = [threading.Thread(target=caller, args=(chance.random(),)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong
    return len(done)


if __name__ == "__main__":
    sys.exit(main())
