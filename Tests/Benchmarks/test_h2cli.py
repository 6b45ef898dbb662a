"""Holds the load client to what its figures are worth: a stream that is not what the backend sent
is an error, never a token. usage: test_h2cli.py"""

import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time

import tools
from lockstep import EVENT_BYTES

TOKENS = 5


def event(name="a", at=None):
    """One event as the backend writes it, with the time of its sending."""
    at = time.monotonic_ns() if at is None else at
    text = f'data: {{"id":"{name}","content":" @{at:016x}","more":"'
    return (text + "m" * (EVENT_BYTES - len(text) - 4) + '"}').encode() + b"\n\n"


def events():
    """A whole stream."""
    return [event() for _ in range(TOKENS)] + [b"data: [DONE]\n\n"]


def changed_byte():
    whole = events()
    whole[3] = whole[3].replace(b"mmmm", b"mmnm", 1)
    return whole


def event_of_another_stream():
    whole = events()
    whole[2] = event("b")
    return whole


def missing_event():
    return events()[1:]


def event_twice():
    whole = events()
    return [whole[0], *whole]


def events_out_of_order():
    now = time.monotonic_ns()
    return [event(at=now), event(at=now - 1)] + events()[2:]


def bytes_behind_the_end():
    return [*events(), b"data: more\n\n"]


def no_last_event():
    return events()[:-1]


def event_of_another_size():
    return [piece.replace(b"mmmm", b"mmm", 1) for piece in events()]


def time_without_digits():
    whole = events()
    whole[1] = whole[1].replace(b"@0", b"@g", 1)
    return whole


WRONG = {
    changed_byte: "an event that was changed",
    event_of_another_stream: "an event that was changed",
    # Where an event is expected, the last one comes.
    missing_event: "an event that was changed",
    event_twice: "an event that was changed",
    events_out_of_order: "events out of order",
    bytes_behind_the_end: "bytes behind the last event",
    no_last_event: "a stream that ended before its last event",
    event_of_another_size: "an event of another size",
    time_without_digits: "a time that is not hexadecimal",
}


def main():
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="ratel-") as directory:
        program = tools.build("h2cli", directory)
        for make, expected in {events: None, **WRONG}.items():
            for size in (1 << 20, 7):
                done = against(program, chunked(make(), size))
                figures = json.loads(done.stdout)
                if expected is None:
                    good = figures["err"] == 0 and done.returncode == 0 and figures["reqs"] > 0
                else:
                    good = (figures["err"] > 0 and done.returncode == 1
                            and expected in done.stderr)
                passed, failed = passed + good, failed + (not good)
                if not good:
                    print(f"FAILED {make.__name__}, pieces of {size}: expected {expected}, got "
                          f"{figures['err']} errors, {done.stderr.strip()}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def chunked(pieces, size):
    """The body in chunks of at most so many bytes, which need not be those of events."""
    body = b"".join(pieces)
    chunks = [body[at:at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def against(program, answer):
    """What the client says of one connection on which each request is answered so."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener, answer), daemon=True)
        thread.start()
        command = [program, "-t", "-1", "-C", "1", "-n", TOKENS, "-e", EVENT_BYTES, "-w", "0",
                   "-d", "0.2", "-b", "0", "-p", listener.getsockname()[1]]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60)
        thread.join(10)
        return done


def serve(listener, answer):
    connection, _ = listener.accept()
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connection, contextlib.suppress(OSError):
        while connection.recv(65536):
            connection.sendall(head + answer)
            time.sleep(0.01)


if __name__ == "__main__":
    sys.exit(main())
