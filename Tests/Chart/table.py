"""The table of values in the chart's README, made from values.yaml and its comments.

table.py            writes it
"""

import json
import re

import yaml

from tools import CHART

BEGIN, END = "<!-- values -->\n", "<!-- /values -->\n"
KEY = re.compile(r"^( *)([\w-]+):(?:\s+(.*))?$")


def main():
    path = CHART / "README.md"
    path.write_text(with_table(path.read_text()))


def with_table(text):
    before, rest = text.split(BEGIN)
    return before + BEGIN + table() + END + rest.split(END)[1]


def table():
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    lines = ["| Value | Default | |", "|---|---|---|"]
    told = dict(comments())
    for path, value in leaves(values):
        # What is said of a group stands at its first value.
        group = told.pop(path[:-1], "")
        words = " ".join(part for part in (group, told.get(path, "")) if part)
        lines.append(f"| `{'.'.join(path)}` | `{json.dumps(value)}` | {words} |")
    return "\n".join(lines) + "\n"


def leaves(node, path=()):
    """Each value that is no mapping, or an empty one, or one whose keys are the user's."""
    told = {path for path, _ in comments()}
    for key, value in node.items():
        here = (*path, key)
        inner = isinstance(value, dict) and any((*here, name) in told for name in value)
        if inner:
            yield from leaves(value, here)
        else:
            yield here, value


def comments():
    """Of each key that stands on a line of its own: what is said above it and beside it."""
    path, above = [], []
    for line in (CHART / "values.yaml").read_text().splitlines():
        bare = line.strip()
        if not bare:
            above = []
        elif bare.startswith("#"):
            above.append(bare[1:].strip())
        elif found := KEY.match(line):
            depth = len(found.group(1)) // 2
            path = [*path[:depth], found.group(2)]
            beside = re.search(r"\s# ?(.*)$", " " + (found.group(3) or ""))
            words = [" ".join(above)] if above else []
            words += [beside.group(1)] if beside else []
            yield tuple(path), " ".join(words).replace("|", "\\|")
            above = []


if __name__ == "__main__":
    main()
