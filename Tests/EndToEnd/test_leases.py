"""Leases: who is known needs no quote, for as long as what is known holds, and not longer."""

import contextlib
import pathlib
import subprocess
import threading
import time

from backend import CHUNKED, hello
from harness import ANONYMOUS, Process, Stack, free_port, scratch, wait_until
from relay import Relay
from wire import get, metric


class Through:
    """A `connect` whose way to `serve` goes through a relay that can be cut."""

    def __init__(self, stack, policy=None):
        self.stack = stack
        self.relay = Relay(stack.serve_port)
        self.port, self.admin = free_port(), free_port()
        policy = policy or stack.connect_policy
        command = [stack.ratel, "connect", f"127.0.0.1:{self.relay.port}", "--policy", policy]
        command += ["--listen", f"127.0.0.1:{self.port}", "--admin", f"127.0.0.1:{self.admin}"]
        self.process = Process("through", command, stack.directory, stack.environment)

    def __enter__(self):
        self.process.__enter__()
        self.process.wait_for_port(self.port)
        return self

    def __exit__(self, *_):
        self.process.__exit__(*_)
        self.relay.__exit__()

    def ask(self):
        """One request over a connection of its own."""
        self.relay.cut()
        # The cut has to be noticed; a request that meets it would be repeated.
        wait_until(lambda: get(self.port).status == 200, 10, "an answer")

    def count(self, name):
        return metric(self.admin, name)


def served(stack):
    return metric(stack.admin_port, "ratel_quoted_connections_total")


def test_a_known_server_is_asked_for_no_quote(context):
    with Stack(context.ratel, f"http://127.0.0.1:{context.backend.port}") as stack:
        context.backend.handler = hello
        with Through(stack) as way:
            way.ask()
            assert way.count("ratel_leases_accepted_total") == 0
            before = served(stack)
            for _ in range(3):
                way.ask()
            assert served(stack) == before
            assert way.count("ratel_leases_accepted_total") >= 3
            assert metric(stack.admin_port, "ratel_leases_signed_total") >= 3
            assert "lease=true" in way.process.text()


def test_a_lease_does_not_outlive_its_result(context):
    """`max_age` runs from the first challenge, whatever leases came since, and in suspension."""
    with Stack(
        context.ratel, f"http://127.0.0.1:{context.backend.port}", simulated=True, rate=1
    ) as stack:
        context.backend.handler = hello
        with Through(stack) as way:
            way.ask()
            way.ask()
            known = served(stack)
            leased = way.count("ratel_leases_accepted_total")
            stack.clock.suspend(299 - 60)
            wait_until(lambda: "was suspended" in way.process.text(), 10, "the suspension")
            way.ask()
            assert served(stack) == known and way.count("ratel_leases_accepted_total") > leased
            stack.clock.suspend(61)
            way.ask()
            assert served(stack) == known + 1


def test_a_policy_without_age_wants_evidence_each_time(context):
    with Stack(context.ratel, f"http://127.0.0.1:{context.backend.port}", simulated=True) as stack:
        context.backend.handler = hello
        policy = stack.write(
            "fresh.yaml",
            "version: 1\npeers: [{name: simulated, simulated: true, max_age: 0s}]\n",
        )
        with Through(stack, policy) as way:
            way.ask()
            before = served(stack)
            way.ask()
            way.ask()
            assert served(stack) >= before + 2
            assert way.count("ratel_leases_accepted_total") == 0


def test_a_replaced_policy_knows_nobody(context):
    with Stack(context.ratel, f"http://127.0.0.1:{context.backend.port}", simulated=True) as stack:
        context.backend.handler = hello
        policy = stack.write("changing.yaml", pathlib.Path(stack.connect_policy).read_text())
        with Through(stack, policy) as way:
            way.ask()
            way.ask()
            before = served(stack)
            policy.write_text(policy.read_text() + "# another one\n")
            wait_until(lambda: "policy replaced" in way.process.text(), 10, "the new policy")
            way.ask()
            assert served(stack) == before + 1


def test_a_policy_that_is_replaced_meanwhile_admits_nobody(context):
    """An exchange that began under the old policy opens nothing once another is in force."""
    with Stack(context.ratel, f"http://127.0.0.1:{context.backend.port}", simulated=True) as stack:
        context.backend.handler = hello
        policy = stack.write("changing.yaml", pathlib.Path(stack.connect_policy).read_text())
        with Through(stack, policy) as way:
            # The caller's second flight ends the handshake and holds its challenge.
            way.relay.heard = lambda number: number == 2 and way.relay.passes.clear()
            answers = []
            asking = threading.Thread(target=lambda: answers.append(get(way.port)))
            asking.start()
            wait_until(lambda: not way.relay.passes.is_set(), 10, "the challenge")
            policy.write_text(policy.read_text().replace(
                "simulated: true", "simulated: true, configuration: {access_log: [\"on\"]}"))
            wait_until(lambda: "policy replaced" in way.process.text(), 10, "the new policy")
            way.relay.heard = lambda number: None
            way.relay.passes.set()
            asking.join()
            assert answers[0].status == 502, answers[0]
            assert b"admission.policy_replaced" in answers[0].body, answers[0].body
            # Nor is it remembered.
            assert b"configuration.value.refused" in get(way.port).body


def test_a_policy_that_is_replaced_meanwhile_renews_nothing(context):
    """The same of a challenge on an open connection, whose answer comes after the policy."""
    with Stack(
        context.ratel, f"http://127.0.0.1:{context.backend.port}", simulated=True, rate=5
    ) as stack:
        text = pathlib.Path(stack.connect_policy).read_text().replace(
            "simulated: true", "simulated: true, max_age: 12s")
        policy = stack.write("changing.yaml", text)
        context.backend.handler = streaming(6.0)
        with Through(stack, policy) as way:
            asking = threading.Thread(target=lambda: get(way.port))
            asking.start()
            wait_until(lambda: "admitted" in way.process.text(), 10, "the admission")
            # The challenge goes out after 12 s of theirs, and may be answered for 10 s.
            way.relay.passes.clear()
            time.sleep(2.6)
            policy.write_text(text + "# another one\n")
            wait_until(lambda: "policy replaced" in way.process.text(), 10, "the new policy")
            way.relay.passes.set()
            wait_until(
                lambda: "admission.policy_replaced" in way.process.text(), 5, "the refusal")
            way.relay.cut()
            asking.join()


def streaming(seconds):
    """A piece each 20 ms, for so long."""

    def handler(connection):
        connection.request()
        connection.send(CHUNKED)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            connection.chunk(b"x")
            time.sleep(0.02)
        connection.send(b"0\r\n\r\n")

    return handler


@contextlib.contextmanager
def restarted(stack, *more):
    """Another `serve` in the place of the stack's."""
    stack.serve.stop()
    command = [
        stack.ratel, "serve", "--listen", f"127.0.0.1:{stack.serve_port}", "--backend",
        stack.backend, "--policy", stack.serve_policy, "--attester", "simulated", "--admin", "off",
        *more,
    ]
    with Process("again", command, stack.directory) as again:
        again.wait_for_port(stack.serve_port)
        yield


def test_a_server_that_restarts_is_looked_at_again(context):
    """Its binding key is another, so that the lease is of no use; the caller notices nothing."""
    with Stack(context.ratel, f"http://127.0.0.1:{context.backend.port}", simulated=True) as stack:
        context.backend.handler = hello
        with Through(stack) as way:
            way.ask()
            with restarted(stack):
                way.ask()
                assert way.count("ratel_leases_accepted_total") == 0
                assert way.count("ratel_admitted_total") >= 2


def test_a_server_with_another_configuration_is_looked_at_again(context):
    """What it says of itself changed, and the policy has a word on that."""
    with Stack(context.ratel, f"http://127.0.0.1:{context.backend.port}", simulated=True) as stack:
        context.backend.handler = hello
        strict = stack.write(
            "strict.yaml",
            "version: 1\npeers:\n- name: simulated\n  simulated: true\n"
            '  configuration: {access_log: ["off"]}\n',
        )
        with Through(stack, strict) as way:
            way.ask()
            with restarted(stack, "--access-log", "metadata"):
                way.relay.cut()
                wait_until(
                    lambda: b"configuration.value.refused" in get(way.port).body,
                    10, "the refusal",
                )


def test_a_client_attests_by_lease_too(context):
    """Mutual attestation: the server remembers callers by their own key, one from the other."""
    with scratch() as directory:
        mutual = pathlib.Path(directory) / "mutual.yaml"
        mutual.write_text("version: 1\npeers: [{name: simulated, simulated: true}]\n")
        port, admin = free_port(), free_port()
        command = [
            context.ratel, "serve", "--listen", f"127.0.0.1:{port}", "--backend",
            f"http://127.0.0.1:{context.backend.port}", "--policy", mutual, "--attester",
            "simulated", "--admin", f"127.0.0.1:{admin}",
        ]
        context.backend.handler = hello
        with Process("mutual", command, directory) as serve, Relay(port) as relay:
            serve.wait_for_port(port)
            listen, own = free_port(), free_port()
            command = [
                context.ratel, "connect", f"127.0.0.1:{relay.port}", "--policy", mutual,
                "--attester", "simulated", "--listen", f"127.0.0.1:{listen}", "--admin",
                f"127.0.0.1:{own}",
            ]
            with Process("caller", command, directory) as caller:
                caller.wait_for_port(listen)
                assert get(listen).status == 200
                for _ in range(2):
                    relay.cut()
                    wait_until(lambda: get(listen).status == 200, 10, "an answer")
                assert metric(admin, "ratel_leases_accepted_total") >= 2
                assert metric(own, "ratel_leases_accepted_total") >= 2
                assert metric(admin, "ratel_quoted_connections_total") == 1
                assert metric(own, "ratel_quoted_connections_total") == 1
