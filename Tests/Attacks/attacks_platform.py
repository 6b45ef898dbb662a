"""What is measured, for how long it holds, and what Evidence cannot say."""

import contextlib
import pathlib
import threading
import time

import formulas
import platforms
from backend import CHUNKED, hello
from case import ANONYMOUS, SECRET, Process, extend, free_port, say, scratch
from clocks import Clock
from formulas import EVIDENCE, frame
from middle import Middle, passing
from minting import intel
from model import TALKATIVE
from rows import row
from test_collateral import Vendors, run
from test_platforms import machine, serving
from wire import Client


@row("drift after admission")
def attack_drift(place):
    """A server is admitted, and then its machine changes while a stream runs."""

    tpm = place.tpm()
    clock = Clock(place.folder, 10)
    port, _ = place.serve(tpm)

    def call(age, goes_on):
        """Whether the stream came to its end, `goes_on` seconds after the change, and the log."""
        began, over = threading.Event(), threading.Event()

        def stream(connection):
            connection.request()
            connection.send(CHUNKED)
            began.set()
            while not over.wait(20e-3):
                connection.chunk(b"x")
            connection.send(b"0\r\n\r\n")

        def change():
            began.wait(20)
            extend(tpm)
            over.wait(goes_on)
            over.set()

        place.backend.handler = stream
        listen = free_port()
        policy = place.init(port).replace("version: 1\n", "version: 1\non_change: close\n")
        assert "max_age: 300s" in policy
        policy = place.write(policy.replace("max_age: 300s", f"max_age: {age}"))
        process = Process(
            f"drift{listen}", [
                place.ratel, "connect", f"127.0.0.1:{port}", "--policy", policy, "--listen",
                f"127.0.0.1:{listen}",
            ], place.folder, clock.environment)
        changing = threading.Thread(target=change)
        with process:
            process.wait_for_port(listen)
            changing.start()
            with Client(listen) as client:
                client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                answer = client.answer()
            over.set()
            changing.join()
            return answer.complete, process.text()

    # The defence off: a result that holds for a day. Three seconds are thirty to the caller.
    complete, log = call("86400s", 3)
    assert complete and "tpm.pcr.mismatch" not in log, log[-2000:]
    complete, log = call("20s", 25)
    assert not complete and "tpm.pcr.mismatch" in log, log[-2000:]


@row("unmeasured configuration")
def attack_configuration(place):
    """The same measured program, started so that it logs; it says so, and the thief, who has its
    TLS key, says the opposite for it."""

    def quiet(direction, kind, body):
        if kind == EVIDENCE:
            said = formulas.decode(body)
            body = formulas.encode({**said, 6: said[6].replace(b'"metadata"', b'"off"')})
        return [frame(kind, body)]

    def against(missing, frames):
        server, victim = place.model(*missing, configuration=TALKATIVE)
        with Middle(place.servers, server.port, frames) as middle:
            victim.call(middle.port)
            return middle.heard

    assert against([], quiet) == b"" and against(["exporter"], quiet) == b""
    assert against(["exporter", "configuration"], passing) == b""
    assert against(["exporter", "configuration"], quiet) == SECRET
    port, _ = place.serve(place.tpm(), ANONYMOUS, "--access-log", "metadata")
    loose = place.init(port)
    assert "configuration:" not in loose, loose
    strict = loose + '    configuration: {access_log: ["off"]}\n'
    through, _ = place.connect(port, strict)
    status, body = say(through)
    assert status == 502 and "configuration.value.refused" in body, body
    with Middle(place.servers, port, quiet) as middle:
        through, _ = place.connect(middle.port, strict)
        status, body = say(through)
        assert status == 502 and "binding.signature.invalid" in body, (body, middle.troubles)
        assert middle.heard == b""
    # The defence off: a policy without a word on it.
    through, process = place.connect(port, loose)
    assert say(through)[0] == 200, process.text()[-1500:]


@contextlib.contextmanager
def evaluated(number):
    """What Intel says in these lines is of its evaluation with that number."""
    kept, intel.EVALUATION = intel.EVALUATION, number
    try:
        yield
    finally:
        intel.EVALUATION = kept


@row("collateral rollback, TCB downgrade")
def attack_rollback(place):
    """A vendor's old word on a platform, signed and not over yet, after a newer one: by the
    network that collateral is fetched over, and by the server that staples it."""
    platform = platforms.tdx(4)
    with scratch() as path, Vendors(path) as vendors:
        folder = pathlib.Path(path)
        issuers = platform.vendor.platform.pem + platform.vendor.root.pem
        (folder / "pck_crl_issuer_chain.pem").write_bytes(issuers)
        subject = folder / "evidence"
        subject.mkdir()
        (subject / "quote.bin").write_bytes(platform.vendor.tdx(bytes(64)))
        pem = folder / "root.pem"
        pem.write_bytes(platform.root.pem)

        def fetch(number, cache):
            with evaluated(number):
                platform.vendor.write(folder)
            return run(place, "collateral", "fetch", subject, cache=folder / cache,
                       vendors=vendors, root=pem)

        status, items = fetch(20, "cache")
        assert status == 0, items
        status, items = fetch(19, "cache")
        assert status == 1 and "collateral.rollback" in str(items), items
        # The defence off: nothing remembers that there was a newer one.
        status, items = fetch(19, "forgetful")
        assert status == 0, items
    with evaluated(19), machine(platform) as (folder, devices, arguments), \
            serving(place, folder, devices, "tdx", arguments) as port:
        through, _ = place.connect(port, platform.policy(folder).read_text())
        status, body = say(through)
        assert status == 502 and "dcap.tcb.evaluation" in body, body
        # The defence off: a floor that is as low.
        low = platform.policy(folder, "tcb.min_evaluation", 19)
        through, process = place.connect(port, low.read_text())
        assert say(through)[0] == 200, process.text()[-1500:]


@row("diversion to an identical image elsewhere, extracted hardware keys")
def attack_diversion(place):
    """The same image on another machine, which the binding cannot tell: the list of machines can,
    and where a policy has none, the thief is served."""
    real, _ = place.serve(place.tpm())
    elsewhere, _ = place.serve(place.tpm())
    named = place.init(real)
    through, _ = place.connect(elsewhere, named)
    status, body = say(through)
    assert status == 502 and "tpm.ak.name" in body, body
    through, process = place.connect(elsewhere, with_both(named, place.init(elsewhere)))
    assert say(through)[0] == 200, process.text()[-1500:]
    # Keys that were taken out of one machine sign for a trust domain that is none: all of its
    # Evidence is made here. That machine has a name in its certificate, which a list can leave out.
    platform = platforms.tdx(4)
    with machine(platform) as (folder, devices, arguments), \
            serving(place, folder, devices, "tdx", arguments) as port:
        others = platform.policy(folder, "platforms", ["fe" * 16])
        through, _ = place.connect(port, others.read_text())
        status, body = say(through)
        assert status == 502 and "dcap.platform" in body, body
        anything = platform.policy(folder, "platforms", "any")
        through, process = place.connect(port, anything.read_text())
        assert say(through)[0] == 200, process.text()[-1500:]


def with_both(one, other):
    """The first policy with the second's machine beside its own."""
    entry = other[other.index("  - name: "):].replace('"server"', '"elsewhere"', 1)
    return one.rstrip("\n") + "\n" + entry
