"""Instructions that a program executes, counted by cachegrind: the same each time, unlike times."""

import contextlib
import re
import subprocess
import tempfile

# No simulated caches: they cost time and nobody reads them. The file would name every function.
CACHEGRIND = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]


def instructions(command):
    """Those of a command that ends by itself."""
    counted = subprocess.run(
        [*CACHEGRIND, *command], capture_output=True, text=True, timeout=300)
    return counted_in(counted.stderr)


def counted_in(text):
    """What valgrind printed when the program ended, over all that it followed."""
    found = re.findall(r"I\s+refs:\s+([\d,]+)", text)
    assert found, text[-500:]
    return sum(int(number.replace(",", "")) for number in found)


@contextlib.contextmanager
def stripped(program):
    """A copy that valgrind can load: it stumbles over the debug information of newer compilers."""
    with tempfile.TemporaryDirectory(prefix="ratel-") as directory:
        copy = f"{directory}/ratel"
        subprocess.run(["strip", "-o", copy, program], check=True)
        yield copy
