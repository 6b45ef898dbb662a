"""The load tools: h2cli from here, the backend and two more from where they lie."""

import os
import pathlib
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SHARED = pathlib.Path(os.environ.get("RATEL_SHARED", ROOT.parent / "shared")) / "bench"

OWN = ["-O2", "-Wall", "-Wextra", "-Werror"]
TOOLS = {
    "toksrv": ["-O2", "-w", SHARED / "toksrv.c"],
    "tokcli": ["-O2", "-w", SHARED / "tokcli.c", "-lssl", "-lcrypto"],
    # The prototype whose cost per token is the floor for many streams on one connection.
    "muxep": ["-O2", "-w", SHARED / "floor" / "muxep.c", "-lIPSec_MB", "-lssl", "-lcrypto"],
    "h2cli": [*OWN, *sorted((HERE / "h2cli").glob("*.c")), "-lnghttp2", "-lssl", "-lcrypto"],
}


def compiler():
    """gcc, or the clang that comes with the Swift toolchain."""
    beside = pathlib.Path(shutil.which("swift") or "/").resolve().parent / "clang"
    return shutil.which("gcc") or str(beside)


def build(name, directory):
    """The program, compiled into `directory`."""
    program = pathlib.Path(directory) / name
    subprocess.run([compiler(), "-o", program, *TOOLS[name]], check=True, capture_output=True)
    return program
