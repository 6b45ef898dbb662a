"""HTTP/2 in front: many streams on one connection, each as if it were alone."""

import contextlib
import subprocess
import threading
import time

import h2.events
from h2peer import H2Client
from harness import open_sidecar


def sidecar(context):
    """A sidecar for anybody; answers its port and its process."""
    return open_sidecar(context, "--attester", "simulated")


@contextlib.contextmanager
def serving(context):
    """The same, where the port is all that matters."""
    with sidecar(context) as (port, _):
        yield port


def echo(connection):
    while True:
        request = connection.request()
        body = f"{request.method} {request.target} {len(request.body)}".encode()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-Up: a\r\n"
                        b"Connection: keep-alive, X-Hop\r\nX-Hop: b\r\n\r\n%s" % (len(body), body))


def tokens(count, pause):
    def handler(connection):
        connection.request()
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for index in range(count):
            event = b"data: %d\n\n" % index
            connection.send(b"%x\r\n%s\r\n" % (len(event), event))
            time.sleep(pause)
        connection.send(b"0\r\n\r\n")
    return handler


def test_requests_and_answers_are_those_of_http1(context):
    context.backend.handler = echo
    with serving(context) as port, H2Client(port) as client:
        for method, body in (("GET", None), ("POST", b"x" * 10), ("POST", b"y" * 700_000)):
            status, fields, answer = client.answer(client.request("/a?b", method, body))
            assert (status, answer) == (200, f"{method} /a?b {len(body or b'')}".encode())
            # What belongs to one connection stays on it.
            assert fields == {"content-length": str(len(answer)), "x-up": "a"}, fields
        sized = client.request("/c", "POST", b"abc", fields=[("content-length", "3")])
        assert client.answer(sized)[2] == b"POST /c 3"
        status, fields, body = client.answer(client.request("/h", "HEAD"))
        assert status == 200 and body == b""


def test_heads_are_held_to_the_same_rules(context):
    context.backend.handler = echo
    cases = [
        ([(":method", "GET"), (":path", "/a b"), (":scheme", "https"), (":authority", "h")], 400),
        ([(":method", "GET"), (":path", "/"), (":scheme", "https"), (":authority", "h"),
          ("host", "other")], 400),
        ([(":method", "GET"), (":path", "/"), (":scheme", "https")], 400),
        ([(":method", "CONNECT"), (":authority", "h:1")], 400),
        ([(":method", "G T"), (":path", "/"), (":scheme", "https"), (":authority", "h")], 400),
        ([(":method", "GET"), (":path", "/"), (":scheme", "https"), (":authority", "h"),
          ("transfer-encoding", "chunked")], None),
        ([(":method", "GET"), (":path", "/"), (":scheme", "https"), (":authority", "h"),
          ("a\r\nb", "c")], None),
        ([(":method", "GET"), (":path", "/"), (":scheme", "https"), (":authority", "h"),
          ("Upper", "c")], None),
    ]
    with serving(context) as port, H2Client(port, validates=False) as client:
        for head, wanted in cases:
            stream = client.connection.get_next_available_stream_id()
            client.connection.send_headers(stream, head, end_stream=True)
            client.flush()
            answer = client.answer(stream)
            if wanted is None:
                assert answer is None, (head, answer)
            else:
                assert answer is None or 400 <= answer[0] < 502, (head, answer)
                assert answer is None or answer[0] != 200, (head, answer)
        # The connection goes on.
        assert client.answer(client.request("/"))[0] == 200
        large = [(f"f{index}", "v" * 200) for index in range(100)]
        assert client.answer(client.request("/", fields=large))[0] == 431
        assert client.answer(client.request("/"))[0] == 200


def test_cookies_in_pieces_are_one_again(context):
    def handler(connection):
        request = connection.request()
        body = "|".join(request.values("cookie")).encode()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    context.backend.handler = handler
    with serving(context) as port, H2Client(port) as client:
        stream = client.request(fields=[("cookie", "a=1"), ("cookie", "b=2")])
        assert client.answer(stream)[2] == b"a=1; b=2"


def test_tokens_of_many_streams_are_not_delayed(context):
    count, streams = 40, 20
    context.backend.handler = tokens(count, 0.02)
    for attempt in range(3):
        with serving(context) as port, H2Client(port) as client:
            ids = [client.request(f"/{index}") for index in range(streams)]
            for stream in ids:
                status, _, body = client.answer(stream)
                assert status == 200
                assert body == b"".join(b"data: %d\n\n" % index for index in range(count))
            gaps = []
            for stream in ids:
                times = [event.at for event in client.of(h2.events.DataReceived, stream)]
                gaps += [later - first for first, later in zip(times, times[1:])]
            # Each came on its own, as it was made: as many pieces as tokens, or nearly.
            pieces = len(client.of(h2.events.DataReceived)) / (count * streams)
            if pieces > 0.9 and sorted(gaps)[len(gaps) // 2] > 0.015:
                print(f"    {pieces:.2f} pieces for each token")
                return
    raise AssertionError(f"{pieces:.2f} pieces for each token, gaps {sorted(gaps)[len(gaps) // 2]}")


def test_a_caller_may_grant_after_each_token(context):
    count = 600
    context.backend.handler = tokens(count, 0.002)
    with serving(context) as port, H2Client(port) as client:
        client.grants = False
        stream, granted = client.request("/"), 0
        while not client.of(h2.events.StreamEnded, stream):
            assert client.step(), "the connection ended"
            came = client.of(h2.events.DataReceived, stream)
            for _ in came[granted:]:
                for _ in range(2):
                    client.frame(8, 0, stream, (100).to_bytes(4, "big"))
                    client.frame(8, 0, 0, (100).to_bytes(4, "big"))
            granted = len(came)
        assert not client.of(h2.events.ConnectionTerminated)
        # More of these frames than a connection may send that carries nothing.
        assert 4 * granted > 1_100, granted


def test_a_slow_reader_stalls_only_itself(context):
    size = 4 << 20

    def handler(connection):
        request = connection.request()
        if request.target == "/slow":
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            connection.send(b"s" * size)
        else:
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    context.backend.handler = handler
    with serving(context) as port, H2Client(port) as client:
        client.grants = False
        slow = client.request("/slow")
        client.until(lambda: client.of(h2.events.DataReceived, slow))
        # The connection's window is given back, that of the stream is not.
        for _ in range(20):
            for event in client.of(h2.events.DataReceived):
                if event.stream_id == slow and not getattr(event, "is_granted", False):
                    event.is_granted = True
                    client.connection.increment_flow_control_window(event.flow_controlled_length)
            client.flush()
            assert client.answer(client.request("/fast"))[2] == b"ok"
        taken = sum(len(event.data) for event in client.of(h2.events.DataReceived, slow))
        assert taken <= 65_535, taken
        client.grants = True
        client.connection.increment_flow_control_window(size, slow)
        client.connection.increment_flow_control_window(size)
        client.flush()
        assert len(client.answer(slow)[2]) == size


def test_a_cancelled_stream_ends_at_its_backend_alone(context):
    left = threading.Event()

    def handler(connection):
        request = connection.request()
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(500):
                connection.send(b"1\r\nx\r\n")
                time.sleep(0.01)
        except OSError:
            if request.target == "/cancelled":
                left.set()
            raise

    context.backend.handler = handler
    with serving(context) as port, H2Client(port) as client:
        cancelled, other = client.request("/cancelled"), client.request("/other")
        client.until(lambda: client.of(h2.events.DataReceived, cancelled)
                     and client.of(h2.events.DataReceived, other))
        client.connection.reset_stream(cancelled, error_code=8)
        client.flush()
        assert left.wait(5), "the backend was not told"
        before = len(client.of(h2.events.DataReceived, other))
        client.until(lambda: len(client.of(h2.events.DataReceived, other)) > before + 5)


def test_a_backend_that_breaks_resets_its_stream_alone(context):
    def handler(connection):
        request = connection.request()
        if request.target == "/cut":
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart")
            return
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    context.backend.handler = handler
    with serving(context) as port, H2Client(port) as client:
        assert client.answer(client.request("/cut")) is None
        assert client.answer(client.request("/whole"))[2] == b"ok"


def ended(client):
    """The code of the GOAWAY, or that the connection simply closed."""
    client.until(lambda: client.of(h2.events.ConnectionTerminated))
    gone = client.of(h2.events.ConnectionTerminated)
    return gone[0].error_code if gone else "closed"


def test_floods_end_their_connection(context):
    context.backend.handler = echo
    with serving(context) as port:
        floods = {
            "settings": lambda client: [client.frame(4, 0, 0) for _ in range(3_000)],
            "ping": lambda client: [client.frame(6, 0, 0, bytes(8)) for _ in range(3_000)],
            "priority": lambda client: [
                client.frame(2, 0, 1, bytes([0, 0, 0, 3, 7])) for _ in range(3_000)],
        }
        for name, flood in floods.items():
            with H2Client(port) as client:
                with contextlib.suppress(OSError):
                    flood(client)
                assert ended(client) in (11, "closed"), name
        # Rapid reset: more than a caller with many streams ever needs.
        with H2Client(port) as client:
            with contextlib.suppress(OSError):
                for _ in range(3_000):
                    stream = client.request("/")
                    client.connection.reset_stream(stream, error_code=8)
                    client.flush()
            # 2 is the library's own limit, which a slow machine meets first.
            assert ended(client) in (2, 11, "closed")
        # CONTINUATION without end: nothing of it is whole.
        with H2Client(port) as client:
            client.frame(1, 0, 1, b"\x82\x84\x87")
            with contextlib.suppress(OSError):
                for _ in range(200):
                    client.frame(9, 0, 1, b"\x40\x01a\x7f\x81\x07" + b"a" * 134)
                for _ in range(2_000):
                    client.frame(9, 0, 1, b"")
            # The library knows nothing of this stream, which may be reset before the end.
            client.read_to_end()
        # And others are served meanwhile.
        with H2Client(port) as client:
            assert client.answer(client.request("/"))[0] == 200


def test_too_many_streams_are_refused_and_the_rest_go_on(context):
    release = threading.Event()

    def handler(connection):
        connection.request()
        release.wait(10)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    context.backend.handler = handler
    with serving(context) as port, H2Client(port) as client:
        client.until(lambda: client.of(h2.events.RemoteSettingsChanged))
        limit = client.connection.remote_settings.max_concurrent_streams
        assert limit == 256
        ids = [client.request(f"/{index}") for index in range(limit)]
        release.set()
        for stream in ids:
            assert client.answer(stream)[2] == b"ok"


def test_draining_finishes_what_streams(context):
    context.backend.handler = tokens(30, 0.03)
    with sidecar(context) as (port, process):
        # Python's `h2` takes no frame behind a GOAWAY; curl does.
        curl = subprocess.Popen(
            ["curl", "-skN", "--http2", f"https://127.0.0.1:{port}/"], stdout=subprocess.PIPE)
        first = curl.stdout.read(9)
        process.child.terminate()
        body = first + curl.stdout.read()
        assert curl.wait(10) == 0
        assert body == b"".join(b"data: %d\n\n" % index for index in range(30))


def test_both_versions_on_one_port(context):
    context.backend.handler = echo
    with serving(context) as port:
        for option, version in (("--http2", "2"), ("--http1.1", "1.1")):
            done = subprocess.run(
                ["curl", "-sk", option, "-w", " %{http_version}", f"https://127.0.0.1:{port}/x"],
                capture_output=True, text=True, timeout=20)
            assert done.stdout == f"GET /x 0 {version}", (done.stdout, done.stderr)
