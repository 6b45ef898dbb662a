"""Long connections: a peer is attested again and again while its streams run on."""

import contextlib
import json
import pathlib
import subprocess
import threading
import time

from backend import CHUNKED, hello
from clocks import Clock
from harness import ANONYMOUS, Process, Stack, free_port, scratch, wait_until
from relay import Relay
from wire import Client, get, metric

PIECE = 20e-3


def streaming(seconds, sent):
    """Numbered pieces, one each 20 ms, for so long."""

    def handler(connection):
        connection.request()
        connection.send(CHUNKED)
        end = time.monotonic() + seconds
        number = 0
        while time.monotonic() < end:
            connection.chunk(b"%d," % number)
            number += 1
            time.sleep(PIECE)
        connection.send(b"0\r\n\r\n")
        sent.append(number)

    return handler


def until(seconds):
    return f"version: 1\npeers: [{{name: simulated, simulated: true, max_age: {seconds}s}}]\n"


class Renewing(Stack):
    """Two Ratels whose clocks run fast, with a policy of their own and the client's metrics."""

    def __init__(self, context, rate, policy, **more):
        super().__init__(
            context.ratel, f"http://127.0.0.1:{context.backend.port}", simulated=True, rate=rate,
            **more,
        )
        self.text = policy

    def policy(self):
        return self.text


def own_admin(stack):
    """An admin listener for `connect`, told before it starts."""
    port = free_port()
    stack.connect_arguments += ["--admin", f"127.0.0.1:{port}"]
    return port


def test_an_hour_of_one_stream_is_attested_59_times(context):
    """60 s of `max_age`, an hour that takes a minute; not a byte is lost, nor the connection."""
    sent = []
    stack = Renewing(context, 60, until(60))
    admin = own_admin(stack)
    with stack:
        context.backend.handler = streaming(60.0, sent)
        with Client(stack.port, timeout=90) as client:
            client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            body = client.answer().body
        assert body == b"".join(b"%d," % number for number in range(sent[0]))
        renewals = metric(admin, "ratel_renewals_total")
        # The 60th is due as the hour ends; each may come late by what this machine stood still.
        assert 57 <= renewals <= 60, renewals
        assert metric(stack.admin_port, "ratel_quoted_connections_total") == renewals + 1
        assert metric(admin, "ratel_upstream_connections_total") == 1


@contextlib.contextmanager
def over_http1(context, policy):
    """Ten times as fast: a port, and the proxy behind it that admits by `policy`.

    A way that announces each caller is for one caller, and so of HTTP/1.1.
    """
    with Renewing(context, 10, until(12)) as stack:
        policy = stack.write("once.yaml", policy)
        anonymous = stack.write("anybody.yaml", ANONYMOUS)
        near, far = free_port(), free_port()
        front = proxy(
            stack, "front", {"name": "in", "address": f"127.0.0.1:{near}",
                             "protection": "plain"},
            {"name": "far", "address": f"127.0.0.1:{far}", "protection": "attested",
             "policy": str(policy), "send_proxy_protocol": "v2"})
        back = proxy(
            stack, "back", {"name": "in", "address": f"127.0.0.1:{far}",
                            "protection": "attested", "policy": str(anonymous),
                            "proxy_protocol": "v2"},
            {"name": "model", "address": f"127.0.0.1:{context.backend.port}",
             "protection": "plain"})
        with back, front:
            back.wait_for_port(far)
            front.wait_for_port(near)
            yield near, front


def test_http1_is_cut_at_twice_its_age(context):
    """Over HTTP/1.1 nobody can ask again: the answer ends, unless the policy lets it."""
    for head, is_cut in (("", True), ("long_answers: finish\n", False)):
        context.backend.handler = streaming(4.0, [])
        with over_http1(context, head_of(head, until(12))) as (near, front):
            with Client(near, timeout=30) as client:
                client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                got = client.answer()
            assert got.complete != is_cut, (head, front.text()[-900:])
            assert ("stream.admission_over" in front.text()) == is_cut, front.text()[-2000:]


def test_a_replaced_policy_takes_no_first_request(context):
    """A caller of HTTP/1.1 that was admitted and had not asked yet is not heard any more."""
    heard = []

    def handler(connection):
        heard.append(connection.request())
        connection.send(CHUNKED + b"0\r\n\r\n")

    with Renewing(context, 1, until(300)) as stack, contextlib.ExitStack() as open_now:
        near, far = free_port(), free_port()
        relay = open_now.enter_context(Relay(far))
        policy = stack.write("callers.yaml", until(300))
        servers = stack.write("servers.yaml", until(300))
        back = open_now.enter_context(proxy(
            stack, "back", {"name": "in", "address": f"127.0.0.1:{far}",
                            "protection": "attested", "policy": str(policy),
                            "proxy_protocol": "v2"},
            {"name": "model", "address": f"127.0.0.1:{context.backend.port}",
             "protection": "plain"}))
        front = open_now.enter_context(proxy(
            stack, "front", {"name": "in", "address": f"127.0.0.1:{near}",
                             "protection": "plain"},
            {"name": "far", "address": f"127.0.0.1:{relay.port}", "protection": "attested",
             "policy": str(servers), "send_proxy_protocol": "v2"}))
        back.wait_for_port(far)
        front.wait_for_port(near)
        context.backend.handler = handler
        # What comes behind the admission is the request: it waits for the policy.
        replaced = threading.Event()
        held = threading.Event()

        def hold(number):
            time.sleep(0.1)
            if "admitted" in back.text():
                held.set()
                replaced.wait(30)

        relay.heard = hold
        asking = threading.Thread(target=lambda: get(near))
        asking.start()
        assert held.wait(10), back.text()[-900:]
        policy.write_text(policy.read_text().replace(
            "simulated: true", 'simulated: true, configuration: {access_log: ["on"]}'))
        wait_until(lambda: "policy replaced" in back.text(), 10, "the new policy")
        replaced.set()
        asking.join()
        assert not heard, back.text()[-2000:]


def proxy(stack, name, listener, backend):
    document = {
        "version": 1, "workers": 1, "attestation": {"attester": "simulated"},
        "listeners": [listener],
        "routes": [{"name": "all", "match": "any", "access": "any",
                    "backends": [backend["name"]]}], "backends": [backend],
    }
    file = stack.write(f"{name}.json", json.dumps(document))
    return Process(
        name, [stack.ratel, "proxy", "--config", file], stack.directory, stack.environment
    )


def head_of(head, policy):
    return policy.replace("version: 1\n", "version: 1\n" + head)


def extend(stack):
    digest = "11" * 32
    subprocess.run(
        ["tpm2_pcrextend", "-T", stack.tpm.tcti, f"4:sha256={digest}"], check=True,
        capture_output=True,
    )


def test_a_machine_that_changed_is_left(context):
    """Its next Evidence is refused: streams may end, or are cut where the policy says so."""
    for word, is_cut in (("drain", False), ("close", True)):
        sent = []
        stack = Stack(
            context.ratel, f"http://127.0.0.1:{context.backend.port}", simulated=False, rate=10
        )
        init = stack.policy
        stack.policy = lambda: init().replace(
            "version: 1\n", f"version: 1\non_change: {word}\n"
        ).replace("max_age: 300s", "max_age: 20s")
        with stack:
            assert "max_age: 20s" in pathlib.Path(stack.connect_policy).read_text()
            context.backend.handler = streaming(3.2, sent)
            later = threading.Timer(0.5, extend, [stack])
            later.start()
            with Client(stack.port, timeout=30) as client:
                client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                got = client.answer()
            later.join()
            assert "tpm.pcr" in stack.connect.text(), stack.connect.text()[-2000:]
            assert got.complete != is_cut, word
            context.backend.handler = hello
            # The next connection is refused like any other.
            wait_until(lambda: get(stack.port).status == 502, 10, "the refusal")


def test_a_replaced_policy_asks_again_while_streams_drain(context):
    """A stream that a new policy lets end is attested under it, and not cut for want of that."""
    sent = []
    stack = Renewing(context, 10, until(20))
    admin = own_admin(stack)
    with stack:
        policy = pathlib.Path(stack.connect_policy)
        # Thirty-five seconds of theirs: one renewal is due.
        context.backend.handler = streaming(3.5, sent)
        later = threading.Timer(0.3, policy.write_text, [policy.read_text() + "# another one\n"])
        later.start()
        with Client(stack.port, timeout=30) as client:
            client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            got = client.answer()
        later.join()
        assert "policy replaced" in stack.connect.text()
        assert got.complete, stack.connect.text()[-2000:]
        assert got.body == b"".join(b"%d," % number for number in range(sent[0]))
        assert metric(admin, "ratel_renewals_total") >= 1


def test_who_is_another_or_refused_by_a_new_policy_is_left(context):
    """Its streams have one more age, and are cut then."""
    changes = {
        "admission.changed": ("name: simulated", "name: another"),
        "configuration.value.refused": (
            "simulated: true", 'simulated: true, configuration: {access_log: ["on"]}'),
    }
    for code, (old, new) in changes.items():
        stack = Renewing(context, 10, until(12))
        with stack:
            policy = pathlib.Path(stack.connect_policy)
            context.backend.handler = streaming(6.0, [])
            text = policy.read_text().replace(old, new)
            later = threading.Timer(0.3, policy.write_text, [text])
            later.start()
            with Client(stack.port, timeout=30) as client:
                client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                got = client.answer()
            later.join()
            said = stack.connect.text()
            assert code in said and "admission.streams_too_long" in said, said[-2000:]
            assert not got.complete


def test_who_does_not_answer_is_left(context):
    """A challenge that gets no answer in its time ends the connection and its streams."""
    with Renewing(context, 10, until(12)) as stack, Relay(stack.serve_port) as relay:
        port = free_port()
        command = [stack.ratel, "connect", f"127.0.0.1:{relay.port}", "--policy",
                   stack.connect_policy, "--listen", f"127.0.0.1:{port}"]
        with Process("through", command, stack.directory, stack.environment) as through:
            through.wait_for_port(port)
            context.backend.handler = streaming(6.0, [])
            answers = []
            asking = threading.Thread(target=lambda: answers.append(get(port)))
            asking.start()
            wait_until(lambda: "admitted" in through.text(), 10, "the admission")
            relay.passes.clear()
            wait_until(lambda: "admission.not_renewed" in through.text(), 10, "the end")
            relay.passes.set()
            asking.join()
            assert not answers or not answers[0].complete


def test_a_suspended_machine_is_attested_again(context):
    stack = Renewing(context, 1, until(300))
    admin = own_admin(stack)
    with stack:
        context.backend.handler = hello
        assert get(stack.port).status == 200
        before = metric(admin, "ratel_admitted_total")
        stack.clock.suspend(1_000)
        wait_until(lambda: "was suspended" in stack.connect.text(), 10, "the suspension")
        assert get(stack.port).status == 200
        assert metric(admin, "ratel_admitted_total") == before + 1
        assert metric(admin, "ratel_leases_accepted_total") == 0


def test_a_clock_of_suspensions_that_is_behind_the_other(context):
    """As in a time namespace; nothing was suspended."""
    context.backend.handler = hello
    with scratch() as folder:
        clock, port = Clock(folder), free_port()
        clock.suspend(-5)
        command = [context.ratel, "connect", f"127.0.0.1:{context.stack.serve_port}", "--policy",
                   context.stack.connect_policy, "--listen", f"127.0.0.1:{port}"]
        with Process("behind", command, folder, clock.environment) as process:
            process.wait_for_port(port)
            assert get(port).status == 200
            clock.suspend(5)
            wait_until(lambda: "was suspended" in process.text(), 10, "the suspension")
            assert get(port).status == 200


def test_streams_end_with_a_long_suspension(context):
    """10 s past an age are all that bytes have, and nobody knows how old it was."""
    for seconds, is_cut in ((9, False), (1_000, True)):
        sent = []
        with Renewing(context, 1, until(300)) as stack:
            context.backend.handler = streaming(4.0, sent)
            later = threading.Timer(1.5, stack.clock.suspend, [seconds])
            later.start()
            with Client(stack.port, timeout=30) as client:
                client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                got = client.answer()
            later.join()
            assert got.complete != is_cut, (seconds, stack.connect.text()[-900:])
            assert "was suspended" in stack.connect.text(), seconds
            assert ("streams=cut" in stack.connect.text()) == is_cut, stack.connect.text()


def test_renewals_of_both_sides(context):
    """Where both attest, each asks the other, on the same connection."""
    sent = []
    stack = Renewing(
        context, 20, until(15), connect=["--attester", "simulated"],
    )
    admin = own_admin(stack)
    write = stack.write
    stack.write = lambda name, text: write(name, until(15) if name == "serve.yaml" else text)
    with stack:
        context.backend.handler = streaming(5.0, sent)
        with Client(stack.port, timeout=30) as client:
            client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            body = client.answer().body
        assert sent, (stack.serve.text()[-900:], stack.connect.text()[-900:])
        assert body == b"".join(b"%d," % number for number in range(sent[0]))
        assert metric(admin, "ratel_renewals_total") >= 3
        assert metric(stack.admin_port, "ratel_renewals_total") >= 3
        assert metric(admin, "ratel_upstream_connections_total") == 1
