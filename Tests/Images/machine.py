"""A virtual machine that boots the measured image, with a TPM of its own, on loopback alone."""

import contextlib
import pathlib
import shutil
import subprocess
import time

from support import ROOT, run

from harness import Process, free_port, wait_until

# Software emulation on a busy processor: four times what an idle one took (25 s).
BOOT = 120
CVM = ROOT / ".build" / "cvm-test"


def certified_tpm(folder):
    """The state of a TPM whose endorsement key an authority of this test certified."""
    folder.mkdir(parents=True)
    run("sh", ROOT / "Tests/Support/make-swtpm.sh", folder)
    return folder


@contextlib.contextmanager
def machine(folder, disk, tpm):
    """Starts one; it may come up or not. `tpm` is a state, which is copied."""
    folder.mkdir()
    shutil.copytree(tpm / "state", folder / "state")
    shutil.copy(CVM / "firmware-variables.fd", folder / "variables.fd")
    socket = folder / "tpm.sock"
    chip = ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={folder / 'state'}",
            "--ctrl", f"type=unixio,path={socket}"]
    with Process("swtpm", chip, folder):
        wait_until(socket.exists, 10, "the software TPM")
        with Machine(folder, disk, socket) as one:
            yield one


class Machine(Process):
    def __init__(self, folder, disk, socket):
        self.port, self.console, self.start = free_port(), folder / "console.log", time.monotonic()
        super().__init__("qemu", [
            "qemu-system-x86_64", "-machine", "q35,accel=tcg", "-cpu", "max", "-m", "1024",
            "-display", "none", "-no-reboot", "-serial", f"file:{self.console}",
            "-drive", f"if=pflash,format=raw,readonly=on,file={CVM / 'firmware.fd'}",
            "-drive", f"if=pflash,format=raw,file={folder / 'variables.fd'}",
            "-chardev", f"socket,id=tpm,path={socket}", "-tpmdev", "emulator,id=tpm,chardev=tpm",
            "-device", "tpm-crb,tpmdev=tpm",
            "-drive", f"if=virtio,format=raw,readonly=on,file={disk}",
            "-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-:8443",
            "-device", "virtio-net-pci,netdev=net,romfile="], folder)

    def said(self):
        return self.console.read_text(errors="replace") if self.console.exists() else ""

    def serves(self):
        """Whether Ratel listens; how long it took is printed."""
        wait_until(lambda: "serve: listening" in self.said() or not self.running(), BOOT,
                   f"the machine: {self.said()[-1500:]}")
        if "serve: listening" not in self.said():
            return False
        print(f"    serves {time.monotonic() - self.start:.1f} s after power on")
        return True

    def ratel(self, ratel, command, policy, **options):
        return run(ratel, command, f"127.0.0.1:{self.port}", "--policy", policy, **options)


def copy(disk, place):
    subprocess.run(["cp", "--sparse=always", disk, place], check=True)
    return pathlib.Path(place)
