"""New keys and certificates under load: the next connection gets them, no stream is dropped."""

import concurrent.futures
import contextlib
import pathlib
import signal
import ssl
import subprocess
import threading
import time

from backend import CHUNKED, hello
from harness import ANONYMOUS, SIMULATED, Process, free_port, scratch, software_tpm, wait_until
from proxied import Names
from wire import Client, TLSClient, get

STREAMS = 16


@contextlib.contextmanager
def streaming(context, *ports):
    """Streams through each of the ports in turn, which end with the block; each must be whole."""
    over, begun = threading.Event(), threading.Semaphore(0)

    def handler(connection):
        connection.request()
        connection.send(CHUNKED)
        begun.release()
        number = 0
        while not over.is_set():
            connection.chunk(b"%d\n" % number)
            number += 1
            time.sleep(0.01)
        connection.send(b"0\r\n\r\n")

    def stream(number):
        client, port = ports[number % len(ports)]
        with client(port) as caller:
            caller.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            answer = caller.answer()
            assert answer.complete, f"stream {number} was dropped"
            lines = answer.body.split()
            assert lines == [b"%d" % line for line in range(len(lines))]
            return len(lines)

    context.backend.handler = handler
    with concurrent.futures.ThreadPoolExecutor(STREAMS) as pool:
        running = [pool.submit(stream, number) for number in range(STREAMS)]
        try:
            for _ in running:
                assert begun.acquire(timeout=20)
            yield
        finally:
            over.set()
        counts = [each.result() for each in running]
        print(f"    {STREAMS} streams went on, {min(counts)} pieces and more each")


@contextlib.contextmanager
def serving(context, folder, *words):
    """`serve`, and a `connect` to it that asks for Evidence; answers both ports, and the log."""
    port, listen = free_port(), free_port()
    anonymous, simulated = (pathlib.Path(folder) / name for name in ("serve.yaml", "connect.yaml"))
    anonymous.write_text(ANONYMOUS)
    simulated.write_text(SIMULATED)
    command = [context.ratel, "serve", "--listen", f"127.0.0.1:{port}", "--admin", "off",
               "--backend", f"http://127.0.0.1:{context.backend.port}", "--policy", anonymous,
               *words]
    helper = [context.ratel, "connect", f"127.0.0.1:{port}", "--policy", simulated,
              "--listen", f"127.0.0.1:{listen}"]
    with Process("serve", command, folder) as serve, Process("connect", helper, folder) as connect:
        serve.wait_for_port(port)
        connect.wait_for_port(listen)
        yield port, listen, serve


def swap(path, content):
    """As who renews certificates does: no reader sees half of a file."""
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.replace(path)


def leaf(port):
    return ssl.get_server_certificate(("127.0.0.1", port))


def test_a_renewed_certificate_is_taken_without_a_signal(context):
    with scratch() as folder:
        names = Names(folder)
        chain, key = map(pathlib.Path, names.issue("ratel.example"))
        words = ["--attester", "simulated", "--tls-certificate", chain, "--tls-key", key]
        with serving(context, folder, *words) as (port, listen, serve):
            first, old = leaf(port), key.read_bytes()
            assert first.strip() in chain.read_text()
            with streaming(context, (TLSClient, port), (Client, listen)):
                names.issue("other.example")
                other = {name: (pathlib.Path(folder) / f"other.example.{name}").read_bytes()
                         for name in ("pem", "key")}
                # The certificate before its key: the two do not fit, and the old ones stay.
                swap(chain, other["pem"])
                wait_until(lambda: "the certificate was not replaced" in serve.text(), 10,
                           "a word that they do not fit")
                assert leaf(port) == first and key.read_bytes() == old
                swap(key, other["key"])
                wait_until(lambda: leaf(port) != first, 10, "the new certificate")
                assert leaf(port).strip() in other["pem"].decode()
                serve.child.send_signal(signal.SIGHUP)
                wait_until(lambda: "the certificate is as it was" in serve.text(), 10,
                           "an answer to the signal")
            assert serve.text().count("the certificate was not replaced") == 1
            context.backend.handler = hello
            assert get(listen).body == b"GET / 0"


def test_a_leaf_of_its_own_made_anew_drops_no_stream(context):
    """A TPM that was away and is back: a quote is made, and a new leaf with it."""
    with scratch() as folder, contextlib.ExitStack() as stack:
        tpm = stack.enter_context(software_tpm(folder))
        words = ["--attester", "tpm", "--tcti", tpm.tcti]
        with serving(context, folder, *words) as (port, _, serve):
            first = leaf(port)
            with streaming(context, (TLSClient, port)):
                tpm.stop()
                path = tpm.tcti.split("path=")[1]
                for name in (path, f"{path}.ctrl"):
                    pathlib.Path(name).unlink(missing_ok=True)
                look = [context.ratel, "policy", "init", f"127.0.0.1:{port}"]
                assert subprocess.run(look, capture_output=True, timeout=60).returncode != 0
                wait_until(lambda: "no evidence" in serve.text(), 20, "a word of the TPM's end")
                assert leaf(port) == first, "the old one is valid still"
                stack.enter_context(Process("swtpm-again", tpm.child.args, folder))
                wait_until(lambda: "evidence is back" in serve.text(), 30, "the TPM's return")
                assert leaf(port) != first
