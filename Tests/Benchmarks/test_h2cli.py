"""Holds the load client to what its figures are worth: a stream that is not what the backend sent
is an error, never a token. usage: test_h2cli.py"""

import contextlib
import functools
import json
import pathlib
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

import h2.config
import h2.connection
import h2.errors
import h2.events
import tools
from lockstep import EVENT_BYTES
from subjects import make_certificate

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
        make_certificate(pathlib.Path(directory))
        cases = [*over_http1(program), *over_http2(program, directory)]
    for name, expected, done in cases:
        figures = json.loads(done.stdout)
        if expected is None:
            good = figures["err"] == 0 and done.returncode == 0 and figures["reqs"] > 0
        else:
            good = figures["err"] > 0 and done.returncode == 1 and expected in done.stderr
        passed, failed = passed + good, failed + (not good)
        if not good:
            print(f"FAILED {name}: expected {expected}, got {figures['err']} errors, "
                  f"{done.stderr.strip()}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def over_http1(program):
    """Name, words of the error, and what the client said."""
    for make, expected in {events: None, **WRONG}.items():
        for size in (1 << 20, 7):
            answer = functools.partial(serve, answer=chunked(make(), size))
            yield f"{make.__name__}, pieces of {size}", expected, against(
                program, answer, "-t", "-1")


def over_http2(program, directory):
    """Besides the same, what only frames can do; nobody who speaks no exchange is attested to."""
    def data(pieces, h2, stream):
        h2.send_headers(stream, [(":status", "200")])
        h2.send_data(stream, b"".join(pieces), end_stream=True)

    def refusal(h2, stream):
        h2.send_headers(stream, [(":status", "502")], end_stream=True)

    def reset(h2, stream):
        h2.send_headers(stream, [(":status", "200")])
        h2.send_data(stream, b"".join(events()))
        h2.reset_stream(stream, h2_error.CANCEL)

    h2_error = h2.errors.ErrorCodes
    answers = {make: (functools.partial(data, make()), expected)
               for make, expected in {events: None, **WRONG}.items()}
    answers |= {refusal: (refusal, "the answer is not 200 but 502"),
                reset: (reset, "reset with the code 8")}
    for make, (answer, expected) in answers.items():
        yield f"HTTP/2: {make.__name__}", expected, against(
            program, functools.partial(serve_http2, directory=directory, answer=answer))
    yield "HTTP/2: no exchange", "the server chose the protocol ''", against(
        program, functools.partial(serve_http2, directory=directory, answer=None), "-A")


def chunked(pieces, size):
    """The body in chunks of at most so many bytes, which need not be those of events."""
    body = b"".join(pieces)
    chunks = [body[at:at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def against(program, answer, *options):
    """What the client says of one connection, which `answer` takes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(
            target=lambda: answer(listener.accept()[0]), daemon=True)
        thread.start()
        command = [program, *options, "-C", "1", "-n", TOKENS, "-e", EVENT_BYTES, "-w", "0",
                   "-d", "0.2", "-b", "0", "-p", listener.getsockname()[1]]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60)
        thread.join(10)
        return done


def serve(connection, answer):
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connection, contextlib.suppress(OSError):
        while connection.recv(65536):
            connection.sendall(head + answer)
            time.sleep(0.01)


def serve_http2(connection, directory, answer):
    """Answers each request by `answer`; without one it knows no protocol."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{directory}/cert.pem", f"{directory}/key.pem")
    if answer:
        context.set_alpn_protocols(["h2"])
    settings = h2.config.H2Configuration(client_side=False)
    peer = h2.connection.H2Connection(settings)
    with connection, contextlib.suppress(OSError), context.wrap_socket(
            connection, server_side=True) as secured:
        peer.initiate_connection()
        secured.sendall(peer.data_to_send())
        while data := secured.recv(65536):
            for event in peer.receive_data(data):
                if isinstance(event, h2.events.StreamEnded):
                    answer(peer, event.stream_id)
            secured.sendall(peer.data_to_send())
            time.sleep(0.01)


if __name__ == "__main__":
    sys.exit(main())
