"""Scripted runs of the command: what a person types, and what they then read.

run.py RATEL

A scenario is a text file: `$ [NAME=VALUE] ratel …` lines are run in a directory of their own, the
lines below are what must be printed (`...` stands for any lines, `*` for any text in a line), and
`? N` is the exit status where it is not 0. `> NAME` opens a file with the indented lines below it.
"""

import fnmatch
import pathlib
import shlex
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent


def main():
    ratel = pathlib.Path(sys.argv[1]).resolve()
    passed = failed = 0
    for path in sorted(HERE.glob("*.txt")):
        with tempfile.TemporaryDirectory(prefix="ratel-") as directory:
            for step in steps(path.read_text()):
                trouble = run(step, ratel, pathlib.Path(directory))
                if trouble is None:
                    continue
                passed, failed = passed + (not trouble), failed + bool(trouble)
                if trouble:
                    print(f"{path.name}: {step[0]}\n{trouble}")
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


def steps(text):
    """Each command or file with the lines that belong to it."""
    found = []
    for line in text.splitlines():
        if line.startswith(("$ ", "> ")):
            found.append([line])
        elif line.startswith("#") and not found:
            continue
        elif found:
            found[-1].append(line)
    return found


def run(step, ratel, directory):
    """What is wrong, "" when nothing is, None for a file."""
    first, lines = step[0], step[1:]
    if first.startswith("> "):
        body = "\n".join(line[2:] for line in lines) + "\n"
        (directory / first[2:]).write_text(body)
        return None
    words = shlex.split(first[2:])
    environment = {"PATH": "/usr/bin:/bin"}
    while "=" in words[0]:
        name, value = words.pop(0).split("=", 1)
        environment[name] = value
    assert words[0] == "ratel", words
    status = 0
    expected = []
    for line in lines:
        if line.startswith("? "):
            status = int(line[2:])
        else:
            expected.append(line)
    while expected and not expected[-1]:
        expected.pop()
    done = subprocess.run(
        [ratel, *words[1:]], cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL, text=True, timeout=60, env=environment)
    printed = done.stdout.rstrip("\n").split("\n")
    if done.returncode != status:
        return f"  exit status {done.returncode}, expected {status}\n{done.stdout}"
    if not matches(printed, expected):
        return "  printed:\n" + done.stdout + "\n  expected:\n" + "\n".join(expected)
    return ""


def matches(printed, expected):
    if not expected:
        return not any(printed)
    if expected[0] == "...":
        return any(matches(printed[skip:], expected[1:]) for skip in range(len(printed) + 1)) \
            if expected[1:] else True
    if not printed:
        return False
    pattern = expected[0].replace("[", "[[]")
    return fnmatch.fnmatchcase(printed[0], pattern) and matches(printed[1:], expected[1:])


if __name__ == "__main__":
    main()
