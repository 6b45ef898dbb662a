"""Keeps the transcripts of the documentation true: runs each command in it and compares.

In the documentation `VECTORS` stands for the folder of shared vectors; `…` on a line of its own
stands for lines that are left out. `--write` puts in what the commands print now.

usage: transcripts.py RATEL [--write]
"""

import os
import pathlib
import re
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SHARED = pathlib.Path(os.environ.get("RATEL_SHARED", ROOT / ".." / "shared")) / "vectors"
PAGES = [ROOT / "README.md", *sorted((ROOT / "Sources/Ratel/Ratel.docc").glob("*.md"))]
BLOCK = re.compile(r"^```console\n(\$ ratel [^\n]*VECTORS[^\n]*)\n(.*?)^```$", re.M | re.S)


def run(ratel, line):
    words = shlex.split(line[2:])[1:]
    words = [word.replace("VECTORS", str(SHARED)) for word in words]
    environment = dict(
        os.environ, RATEL_PCS="off", RATEL_KDS="off", RATEL_RIM="off", RATEL_OCSP="off",
        RATEL_COLLATERAL_CACHE="off")
    done = subprocess.run(
        [ratel, *words], capture_output=True, text=True, timeout=60, env=environment)
    return (done.stdout + done.stderr).replace(str(SHARED), "VECTORS")


def agree(expected, printed):
    """Whether the lines are the same, those at an ellipsis left out."""
    parts = [part.strip("\n") for part in re.split(r"^…$", expected, flags=re.M)]
    place = 0
    for index, part in enumerate(parts):
        found = printed.find(part, place)
        if found < 0 or (index == 0 and found != 0):
            return False
        place = found + len(part)
    return "…" in expected or printed.strip("\n") == parts[-1]


def main():
    ratel, write = sys.argv[1], "--write" in sys.argv
    if not SHARED.is_dir():
        print(f"skipped: {SHARED} is absent\n0 passed, 0 failed")
        return 0
    passed = failed = 0
    for page in PAGES:
        text = page.read_text()

        def replaced(match):
            nonlocal passed, failed
            command, expected = match.groups()
            printed = run(ratel, command)
            if write and "…" not in expected:
                return f"```console\n{command}\n{printed}```"
            if agree(expected, printed):
                passed += 1
            else:
                failed += 1
                print(f"FAILED {page.name}: {command}\n{printed}")
            return match.group(0)

        changed = BLOCK.sub(replaced, text)
        if write and changed != text:
            page.write_text(changed)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or (passed == 0 and not write) else 0


if __name__ == "__main__":
    sys.exit(main())
