"""Padding: what the sizes of records tell of streamed tokens, and that ticks lose nothing."""

import concurrent.futures
import contextlib
import math
import pathlib
import queue
import random
import select
import time

from backend import CHUNKED
from harness import ANONYMOUS, Process, free_port, open_sidecar, scratch
from wire import Answer, Client, TLSClient, ask, get, post
from wiretap import APPLICATION, Wiretap, entropy, mutual_information, nearest_neighbour

BLOCK, TAG = 256, 16
PROMPTS, REPLAYS, TOKENS = 8, 5, 30
LENGTHS = range(1, 17)
# As an OpenAI server writes them: 210 bytes around the token.
EVENT = (b'data: {"id":"chatcmpl-0123456789abcdef0123456789abcdef",'
         b'"object":"chat.completion.chunk","created":1767225600,"model":"llama",'
         b'"choices":[{"index":0,"delta":{"content":"%s"},'
         b'"logprobs":null,"finish_reason":null}]}\n\n')


@contextlib.contextmanager
def serving(context, *words):
    """A sidecar whose callers need no Evidence; answers its port."""
    with open_sidecar(context, "--attester", "none", *words) as (port, _):
        yield port


def answers():
    """For each prompt the lengths of its answer's tokens, and of answers like it: three tokens in
    ten are others each time. The same in every run."""
    chance = random.Random(2511)
    for prompt in range(PROMPTS):
        usual = [chance.choice(LENGTHS) for _ in range(TOKENS)]
        for _ in range(REPLAYS):
            yield prompt, [chance.choice(LENGTHS) if chance.random() < 0.3 else length
                           for length in usual]


def overheard(context, *words, event=EVENT):
    """Streams every answer; for each its prompt and `(length, size)` of its tokens.

    In lockstep: a token is generated when the one before was read, so each is alone in what it is
    sent in, however slow the machine is.
    """
    gates = {}

    def handler(connection):
        gate = gates[connection.request().target]
        connection.send(CHUNKED)
        while length := gate.get():
            connection.chunk(event % (b"x" * length))
        connection.send(b"0\r\n\r\n")

    def stream(relay, number, lengths):
        sizes = []
        with TLSClient(relay.port) as client:
            tap = relay.of(client.socket)
            client.send(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % number)
            while b"\r\n\r\n" not in client.buffer:
                assert client.fill()
            for length in lengths:
                seen = len(tap.down)
                client.buffer = b""
                gates[f"/{number}"].put(length)
                while not client.buffer.endswith(b"\n\n\r\n"):
                    assert client.fill()
                sizes.append(sum(size for _, size in tap.down[seen:]))
            gates[f"/{number}"].put(0)
            while not client.buffer.endswith(b"0\r\n\r\n"):
                assert client.fill()
        return sizes

    context.backend.handler = handler
    every = list(answers())
    gates.update((f"/{number}", queue.Queue()) for number in range(len(every)))
    with serving(context, *words) as port, Wiretap(port) as relay, \
            concurrent.futures.ThreadPoolExecutor(len(every)) as pool:
        found = list(pool.map(lambda entry: stream(relay, *entry), (
            (number, lengths) for number, (_, lengths) in enumerate(every))))
    return [(prompt, list(zip(lengths, sizes)))
            for (prompt, lengths), sizes in zip(every, found)]


def judged(context, *words, event=EVENT):
    """Bits per token that sizes tell, bits that there are to tell, and how often a prompt is
    recognised by its answer."""
    heard = overheard(context, *words, event=event)
    tokens = [pair for _, stream in heard for pair in stream]
    told = mutual_information(tokens)
    known = nearest_neighbour([(prompt, [size for _, size in stream]) for prompt, stream in heard])
    print(f"    {' '.join(words) or 'default'}: {told:.3f} of "
          f"{entropy(length for length, _ in tokens):.3f} bits per token, "
          f"{known:.0%} of {len(heard)} answers recognised among {PROMPTS}")
    return told, entropy(length for length, _ in tokens), known


def test_without_padding_sizes_tell_every_token(context):
    told, bits, known = judged(context, "--padding", "off")
    # A size is its token's length and a constant: no two lengths share one, so all is told.
    assert math.isclose(told, bits), (told, bits)
    # Seven tokens in ten are those of the other answers; with these seeds all are recognised.
    assert known > 0.95, known


def test_padding_hides_the_length_of_tokens(context):
    """In every mode that pads, and by default."""
    for words in ((), ("--padding", "records"), ("--padding", "tick")):
        told, _, known = judged(context, *words)
        # Each event with any of these tokens fits one block, and in lockstep each is alone in its
        # record: there is one size, which tells exactly nothing, on a slow machine too. A token
        # of another size would already give a tenth of a bit.
        assert told < 0.01, (words, told)
        # One guess is as good as another: one prompt in eight, and none of them by its sizes.
        assert known <= 1 / PROMPTS, (words, known)


def test_what_is_left_at_the_edge_of_a_block(context):
    """Where a block ends in the middle of the lengths, each token tells the side it is on."""
    longer = EVENT.replace(b"llama", b"llama-3-70b-instruct-of-a-user")
    told, bits, _ = judged(context, event=longer)
    assert 0.5 < told <= 1 < bits, (told, bits)


def test_every_record_of_an_attested_connection_is_padded(context):
    """Over HTTP/2, both ways; with a side that does not pad, that side's sizes tell."""

    def handler(connection):
        while True:
            request = connection.request()
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"
                            % (len(request.body), request.body))

    context.backend.handler = handler
    stack = context.stack
    for words, is_padded in (((), True), (("--padding", "off"), False)):
        port = free_port()
        with scratch() as folder, Wiretap(stack.serve_port) as relay:
            command = [context.ratel, "connect", f"127.0.0.1:{relay.port}", "--policy",
                       stack.connect_policy, "--listen", f"127.0.0.1:{port}", *words]
            with Process("connect", command, folder) as process:
                process.wait_for_port(port)
                assert ask(port, post("/", b"first")).body == b"first"
                tap = relay.latest
                before = len(tap.up), len(tap.down)
                for size in (0, 1, 100, 255, 256, 1000, 5000, 16000, 16384, 40000, 70000):
                    assert ask(port, post("/", bytes(size))).body == bytes(size)
                up, down = tap.up[before[0]:], tap.down[before[1]:]
                assert len(up) > 15 and len(down) > 15
                assert {kind for kind, _ in up + down} == {APPLICATION}
                assert all(whole_blocks(size) for _, size in down), down
                assert all(whole_blocks(size) for _, size in up) == is_padded, up


def whole_blocks(size):
    """Whether a record is padded; a full one (2^14 bytes and its type) takes no padding."""
    return (size - TAG) % BLOCK == 0 or size == 16384 + 1 + TAG


# Ticks.

PIECES, CALLERS = 100, 20


def paced(connection):
    while True:
        connection.request()
        connection.send(CHUNKED)
        for number in range(PIECES):
            time.sleep(0.005)
            connection.chunk(b"data: %d\n\n" % number)
        connection.send(b"0\r\n\r\n")


WHOLE = b"".join(b"data: %d\n\n" % number for number in range(PIECES))


@contextlib.contextmanager
def connecting(context, port):
    """`connect` to a sidecar whose Evidence it does not ask for; answers its port."""
    with scratch() as folder:
        policy = pathlib.Path(folder) / "anonymous.yaml"
        policy.write_text(ANONYMOUS)
        listen = free_port()
        command = [context.ratel, "connect", f"127.0.0.1:{port}", "--policy", policy,
                   "--listen", f"127.0.0.1:{listen}"]
        with Process("connect", command, folder) as process:
            process.wait_for_port(listen)
            yield listen


def test_tokens_of_a_tick_share_a_record(context):
    context.backend.handler = paced
    with serving(context, "--padding", "tick") as port, Wiretap(port) as relay:
        with TLSClient(relay.port) as client:
            tap = relay.of(client.socket)
            client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            started, seen = time.monotonic(), len(tap.down)
            answer = client.answer()
            ticks = (time.monotonic() - started) / 0.050
            records = len(tap.down) - seen
        assert answer.complete and answer.body == WHOLE and len(answer.chunks) == PIECES
        print(f"    {PIECES} tokens in {records} records over {ticks:.1f} ticks")
        # One at each tick that there was, however long they took; one more where the time was
        # taken between two, and one that came late; and the end, which waits for none.
        assert records <= ticks + 3, (records, ticks)


def test_streams_of_a_connection_share_the_record_of_a_tick(context):
    context.backend.handler = paced
    with serving(context, "--padding", "tick") as port, Wiretap(port) as relay, \
            connecting(context, relay.port) as listen:
        get(listen)
        tap = relay.latest
        started, seen = time.monotonic(), len(tap.down)
        with concurrent.futures.ThreadPoolExecutor(CALLERS) as pool:
            for answer in pool.map(lambda _: get(listen), range(CALLERS)):
                assert answer.complete and answer.body == WHOLE
        ticks = (time.monotonic() - started) / 0.050
        records = len(tap.down) - seen
        print(f"    {CALLERS} streams of {PIECES} tokens in {records} records, {ticks:.1f} ticks")
        # A head and an end for each, and windows, beside one for all at each tick.
        assert records <= ticks + 3 * CALLERS, (records, ticks)


def test_ticks_lose_nothing(context):
    """However an answer ends, and however much comes at once, through HTTP/1.1 and HTTP/2."""
    burst = [b"data: %s\n\n" % (b"%d" % number * 4000) for number in range(40)]

    def send_burst(connection):
        for event in burst:
            connection.chunk(event)

    def chunked(connection):
        connection.request()
        connection.send(CHUNKED)
        send_burst(connection)
        connection.send(b"0\r\nx-last: yes\r\n\r\n")

    def until_close(connection):
        connection.request()
        connection.send(b"HTTP/1.1 200 OK\r\ncontent-type: Text/Event-Stream; x=y\r\n\r\n")
        for event in burst:
            connection.send(event)

    def sized(connection):
        connection.request()
        body = b"".join(burst)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                        b"Content-Length: %d\r\n\r\n%s" % (len(body), body))

    def cut(connection):
        connection.request()
        connection.send(CHUNKED)
        connection.chunk(b"data: the last before it broke\n\n")

    with serving(context, "--padding", "tick") as port, connecting(context, port) as listen:
        for client in (TLSClient, Client):
            for handler in (chunked, until_close, sized):
                context.backend.handler = handler
                answer = streamed(client, port if client is TLSClient else listen)
                assert answer.complete, (client, handler)
                assert answer.body == b"".join(burst), (client, handler, len(answer.body))
            context.backend.handler = cut
            answer = streamed(client, port if client is TLSClient else listen)
            assert not answer.complete
            assert answer.body == b"data: the last before it broke\n\n", (client, answer.body)


def streamed(client, port):
    """An answer, read slowly at first, with what came of it where it was cut."""
    with client(port) as caller:
        caller.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        time.sleep(0.3)
        answer = caller.answer()
        if not answer.complete and answer.chunks:
            answer.body = b"".join(answer.chunks)
        return answer


def test_answers_that_are_no_streams_do_not_wait(context):
    """A token and then a piece of a document are sent: the piece comes first."""
    opened = queue.Queue()

    def handler(connection):
        kind = b"text/event-stream" if connection.request().target == "/tokens" else b"text/plain"
        connection.send(CHUNKED.replace(b"text/event-stream", kind))
        opened.put(connection)
        opened.join()

    def begin(target):
        client = caller.enter_context(TLSClient(port))
        client.send(b"GET %s HTTP/1.1\r\nHost: h\r\n\r\n" % target)
        connection = opened.get()
        client.head(Answer())
        return client, connection

    context.backend.handler = handler
    with serving(context, "--padding", "tick", "--workers", "1") as port, \
            contextlib.ExitStack() as caller:
        (tokens, one), (document, other) = begin(b"/tokens"), begin(b"/document")
        first = 0
        for _ in range(20):
            one.chunk(b"a token")
            other.chunk(b"a piece")
            ready, _, _ = select.select([tokens.socket, document.socket], [], [], 20)
            first += ready == [document.socket]
            for client, piece in ((tokens, b"a token"), (document, b"a piece")):
                assert client.line() == b"7" and client.exactly(9) == piece + b"\r\n"
        for _ in range(2):
            opened.task_done()
    # Both would come at the tick, the token before it; now and then one falls between the two.
    assert first > 10, first
