"""The effective configuration: what peers say of how they run is true, and can be demanded."""

import contextlib
import json
import pathlib
import ssl
import subprocess

from harness import ANONYMOUS, SIMULATED, Process, free_port, scratch
from proxied import Names, backends, entry, listener, port_of, proxy, route
from test_proxy_sides import ATTESTED, Secure, connecting
from wire import get

FACTS = {"access_log": "off", "backend": "loopback", "forwards_client_address": False,
         "padding": "records", "use": "serve"}


@contextlib.contextmanager
def serving(context, folder, *words, policy=ANONYMOUS):
    port = free_port()
    file = pathlib.Path(folder) / f"serve-{port}.yaml"
    file.write_text(policy)
    command = [context.ratel, "serve", "--listen", f"127.0.0.1:{port}", "--admin", "off",
               "--backend", f"http://127.0.0.1:{context.backend.port}", "--policy", file,
               "--attester", "simulated", *words]
    with Process(f"serve-{port}", command, folder) as process:
        process.wait_for_port(port)
        yield port


def demanding(**facts):
    return "version: 1\npeers: " + json.dumps(
        [{"name": "p", "simulated": True, "configuration": facts}]) + "\n"


def said(context, folder, port):
    """What a server tells of how it runs."""
    file = pathlib.Path(folder) / "any.yaml"
    file.write_text(SIMULATED)
    command = [context.ratel, "verify", f"127.0.0.1:{port}", "--policy", file, "--json"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)["configuration"]


def test_every_fact_is_told_and_can_be_demanded(context):
    with scratch() as folder, serving(context, folder) as port:
        told = said(context, folder, port)
        assert {name: told[name] for name in FACTS} == FACTS, told
        assert len(bytes.fromhex(told["policy"])) == 48, told
        right = {name: [value] for name, value in told.items()}
        with connecting(context, folder, port, demanding(**right)) as listen:
            assert get(listen).status == 200
        wrong = {"access_log": "metadata", "backend": "network", "padding": "tick",
                 "forwards_client_address": True, "use": "proxy", "policy": "00" * 48}
        for name, value in wrong.items():
            with connecting(context, folder, port, demanding(**right | {name: [value]})) as listen:
                refused(get(listen), name, value, told[name])


def refused(reply, field, expected, got):
    error = json.loads(reply.body)["error"]
    assert reply.status == 502 and error["code"] == "configuration.value.refused", reply.body
    assert (error["field"], error["expected"], error["got"]) == (
        field, json.dumps(expected), json.dumps(got)), error


def test_a_server_that_does_not_pad_is_refused(context):
    with scratch() as folder:
        for mode in ("off", "records", "tick"):
            with serving(context, folder, "--padding", mode) as port:
                assert said(context, folder, port)["padding"] == mode
                with connecting(context, folder, port, demanding(padding=[
                        "records", "tick"])) as listen:
                    reply = get(listen)
                    if mode == "off":
                        error = json.loads(reply.body)["error"]
                        assert error["code"] == "configuration.value.refused", error
                        assert error["field"] == "padding" and error["got"] == '"off"', error
                        assert error["expected"] == '"records" or "tick"', error
                    else:
                        assert reply.status == 200, reply.body


def test_a_caller_that_does_not_pad_is_refused(context):
    with scratch() as folder, serving(
            context, folder, policy=demanding(padding=["records"])) as port:
        for mode, status in (("records", 200), ("off", 502)):
            with connecting(context, folder, port, SIMULATED, "--attester", "simulated",
                            "--padding", mode) as listen:
                reply = get(listen)
                assert reply.status == status, reply.body
        error = json.loads(reply.body)["error"]
        assert error["code"] == "peer.refused", error
        assert "configuration.value.refused" in error["got"], error


def test_a_proxy_tells_the_least_of_what_its_routes_do(context):
    with scratch() as folder, backends("a") as (a,):
        (pathlib.Path(folder) / "anonymous.yaml").write_text(ANONYMOUS)
        fronts = {name: listener(name, "attested", policy="anonymous.yaml")
                  for name in ("mixed", "ticking", "plainly", "unset", "idle")}

        def only(name, **more):
            return route(f"{name}-{len(more)}", ["a"], {"listener": [name], "path": ["/"]}, **more)

        routes = [only("mixed", padding="off"), only("mixed"), only("ticking", padding="tick"),
                  only("plainly", padding="off"), only("unset")]
        document = {**ATTESTED, "listeners": list(fronts.values()), "backends": [entry(a)],
                    "routes": routes}
        told = {"mixed": "off", "ticking": "tick", "plainly": "off", "unset": "records",
                "idle": "records"}
        with proxy(context, document, folder=folder) as running:
            for name, front in fronts.items():
                assert said(context, folder, port_of(front))["padding"] == told[name], name
            routes[3]["padding"] = "tick"
            running.reload(document)
            assert said(context, folder, port_of(fronts["plainly"]))["padding"] == "tick"


def test_padding_that_is_written_turns_away_what_has_none(context):
    """TLS 1.2 has no padding: who wrote that records are padded gets no caller without."""
    with scratch() as folder, backends("a") as (a,):
        names = Names(folder)
        chain, key = names.issue("front.example")
        front = listener(protection="tls", certificate=chain, key=key)
        document = {"listeners": [front], "backends": [entry(a)], "routes": [route("all", ["a"])]}

        def answers(version):
            settings = names.client()
            settings.maximum_version = version
            try:
                with Secure(port_of(front), settings, "front.example") as client:
                    client.send(b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n")
                    return client.answer().status == 200
            except ssl.SSLError as error:
                assert "PROTOCOL_VERSION" in str(error).upper().replace(" ", "_"), error
                return False

        with proxy(context, document, folder=folder) as running:
            for written, older in ((None, True), ("off", True), ("records", False),
                                   ("tick", False), ("off", True)):
                routes = [route("all", ["a"], **({"padding": written} if written else {}))]
                running.reload({**document, "routes": routes})
                assert answers(ssl.TLSVersion.TLSv1_3), written
                assert answers(ssl.TLSVersion.TLSv1_2) == older, written


def test_what_a_padding_can_be(context):
    for command, value, words in (
            ("serve", "bucket", ["off, records, tick", "bucket"]),
            ("connect", "tick", ["off or records", "ratel serve --padding tick"])):
        upstream = ["--backend", "http://127.0.0.1:1"] if command == "serve" else ["127.0.0.1:1"]
        done = subprocess.run(
            [context.ratel, command, *upstream, "--policy", "p", "--padding", value],
            capture_output=True, text=True, timeout=30)
        assert done.returncode == 78, done
        assert all(word in done.stderr for word in words), done.stderr
