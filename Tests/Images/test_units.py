"""The units of systemd: well formed, hardened, and their commands run as they are written."""

import contextlib
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import tempfile

from support import ROOT, run

from harness import Process, free_port, software_tpm, wait_until

UNITS = ROOT / "Images/systemd"
NAMES = ["ratel.service", "ratel-connect@.service"]
RATEL = ROOT / ".build/debug/ratel"
# systemd's scale goes from 0 to 10, and calls what is below 2.5 well protected. What is left over
# is the network, which the service is for, and the host's user names.
EXPOSURE = 2.5


def test_they_are_well_formed():
    with root() as place:
        for name in NAMES:
            done = verify(place, name)
            assert (done.returncode, done.stderr) == (0, ""), done.stderr


def test_verifying_can_fail():
    changes = [("ExecStart=/usr/bin/ratel", "ExecStart=/usr/bin/other"), ("Restart=", "Restrat=")]
    for old, new in changes:
        with root() as place:
            unit = place / "etc/systemd/system/ratel.service"
            unit.write_text(unit.read_text().replace(old, new))
            done = verify(place, "ratel.service")
            assert done.returncode != 0 or done.stderr, new


def test_they_are_hardened():
    with root() as place:
        for name in NAMES:
            print(f"    {name}: {exposure(place, name):.1f} of 10")
            assert exposure(place, name) <= EXPOSURE
        unit = place / "etc/systemd/system/ratel.service"
        bare = [line for line in unit.read_text().splitlines()
                if not re.match("(Protect|Restrict|System|Private|Capability|DynamicUser)", line)]
        unit.write_text("\n".join(bare) + "\n")
        assert exposure(place, "ratel.service") > EXPOSURE


def test_a_stop_waits_longer_than_the_streams_may():
    grace = int(re.search(r"^grace: (\d+)s$", (UNITS / "serve.yaml").read_text(), re.M)[1])
    for name in NAMES:
        wait = int(re.search(r"^TimeoutStopSec=(\d+)s$", (UNITS / name).read_text(), re.M)[1])
        assert wait > max(grace, 30), name


def test_what_they_start_serves_reloads_and_ends():
    """ExecStart with the files beside it, places of this machine in them; no systemd is there."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        folder, port, admin = pathlib.Path(folder), free_port(), free_port()
        tpm = stack.enter_context(software_tpm(folder))
        for file in UNITS.glob("*.yaml"):
            text = file.read_text().replace("/etc/ratel/", f"{folder}/")
            text = text.replace("0.0.0.0:8443", f"127.0.0.1:{port}").replace(":9090", f":{admin}")
            (folder / file.name).write_text(text)
        words = command("ratel.service", folder)
        environment = {"RATEL_TCTI": tpm.tcti, "RATEL_COLLATERAL_CACHE": "off"}
        serve = stack.enter_context(Process("serve", words, folder, environment))
        serve.wait_for_port(port)
        policy = folder / "server-NAME.yaml"
        policy.write_text(run(RATEL, "policy", "init", f"127.0.0.1:{port}").stdout)
        (folder / "connect-NAME.yaml").write_text(
            f"server: 127.0.0.1:{port}\nlisten: 127.0.0.1:{free_port()}\npolicy: {policy}\n")
        words = command("ratel-connect@.service", folder, "NAME")
        helper = stack.enter_context(Process("connect", words, folder, environment))
        wait_until(lambda: "listening" in helper.text(), 20, "the caller's helper")
        before = serve.text().count("policy file=")
        serve.child.send_signal(signal.SIGHUP)  # ExecReload
        wait_until(lambda: serve.text().count("policy") > before, 5, "the reload")
        assert serve.running()
        assert (serve.stop(), helper.stop()) == (0, 0)


def command(name, folder, instance=""):
    """ExecStart's words, with the built command and this folder in place of those installed."""
    line = re.search(r"^ExecStart=(.+)$", (UNITS / name).read_text(), re.MULTILINE)[1]
    line = line.replace("%i", instance).replace("/etc/ratel/", f"{folder}/")
    return [RATEL, *shlex.split(line)[1:]]


def verify(place, name):
    return run("systemd-analyze", "verify", f"--root={place}", "--man=no", name, check=False)


def exposure(place, name):
    unit = place / "etc/systemd/system" / name
    words = ["systemd-analyze", "security", "--offline=yes", "--no-pager", unit]
    shown = subprocess.run(words, capture_output=True, text=True, env=os.environ).stdout
    return float(re.search(r"exposure level for \S+: ([0-9.]+)", shown)[1])


@contextlib.contextmanager
def root():
    """A machine's files, as far as systemd-analyze looks at them."""
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)
        units = place / "etc/systemd/system"
        units.mkdir(parents=True)
        (place / "usr/lib/systemd").mkdir(parents=True)
        shutil.copytree("/usr/lib/systemd/system", place / "usr/lib/systemd/system", symlinks=True)
        for name in NAMES:
            shutil.copy(UNITS / name, units)
        for program in ("usr/bin/ratel", "bin/kill"):
            (place / program).parent.mkdir(parents=True, exist_ok=True)
            (place / program).write_bytes(b"")
            (place / program).chmod(0o755)
        yield place
