"""`connect --server-roots`: the server's name is vouched for beside its Evidence, so that an
identical machine elsewhere is not taken for it."""

import contextlib
import json
import pathlib
import subprocess

from harness import SIMULATED, Process, free_port, open_sidecar, scratch
from proxied import Names
from wire import get


@contextlib.contextmanager
def helper(context, folder, port, *words):
    """The port of a `connect` to the server, which is called `localhost`."""
    policy, listen = pathlib.Path(folder) / "connect.yaml", free_port()
    policy.write_text(SIMULATED)
    command = [context.ratel, "connect", f"localhost:{port}", "--policy", policy, "--attester",
               "none", "--listen", f"127.0.0.1:{listen}", *words]
    with Process("connect", command, folder) as process:
        process.wait_for_port(listen)
        yield listen


def refused(port):
    reply = get(port)
    assert reply.status == 502, (reply.status, reply.body)
    error = json.loads(reply.body)["error"]
    assert error["stage"] == "tls" and "certificate" in str(error), error


def test_only_who_has_the_name_is_the_server(context):
    with scratch() as folder:
        names, strangers = Names(folder), Names(folder, "stranger")
        roots = ("--server-roots", names.file)
        given = {name: ("--tls-certificate", chain, "--tls-key", key) for name, (chain, key) in {
            "the server": names.issue("localhost"),
            "another of the authority": names.issue("other.example")}.items()}
        chain, key = strangers.issue("localhost.")
        given["of a stranger"] = ("--tls-certificate", chain, "--tls-key", key)
        given["signed by itself"] = ()
        for name, words in given.items():
            with open_sidecar(context, "--attester", "simulated", *words) as (port, _):
                with helper(context, folder, port, *roots) as listen:
                    if name == "the server":
                        reply = get(listen)
                        assert reply.status == 200, reply.body
                    else:
                        refused(listen)
                # Without it Evidence alone counts, and all of these have the same.
                with helper(context, folder, port) as listen:
                    assert get(listen).status == 200, name


def test_roots_that_cannot_be_read_do_not_start(context):
    with scratch() as folder:
        for content in (None, "nothing"):
            path = pathlib.Path(folder) / "roots.pem"
            if content:
                path.write_text(content)
            policy = pathlib.Path(folder) / "policy.yaml"
            policy.write_text(SIMULATED)
            found = subprocess.run(
                [context.ratel, "connect", "localhost:1", "--policy", policy, "--server-roots",
                 path], capture_output=True, text=True)
            assert found.returncode == 78 and "--server-roots" in found.stderr, found
