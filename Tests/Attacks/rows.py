"""The rows of the threat model's table of attacks, and the function that carries out each."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TABLE = ROOT / "Sources/Ratel/Ratel.docc/ThreatModel.md"


def rows(text):
    """Each attack by its name, with the names of functions here that its row gives."""
    lines = [[cell.strip() for cell in line.split("|")] for line in text.splitlines()]
    start = next(place for place, cells in enumerate(lines) if cells[1:2] == ["Attack"])
    found = {}
    # Behind the head and its rule, up to the first line that is no row.
    for cells in lines[start + 2:]:
        if len(cells) < 5:
            break
        found[cells[1]] = re.findall(r"`(attack_\w+)`", cells[3])
    return found


ROWS = rows(TABLE.read_text())


def row(name):
    """Marks the function that carries the attack out."""

    def mark(function):
        function.row = name
        return function

    return mark


def faults(attacks):
    """What the table and the functions say otherwise of each other."""
    done = {name: attack.row for name, attack in attacks.items()}
    named = {attack: name for name, found in ROWS.items() for attack in found}
    lines = [f"the table has no attack of Tests/Attacks for: {name}"
             for name, found in ROWS.items() if len(found) != 1]
    lines += [f"{name}: the table has it for {named.get(name)}, the code for {row}"
              for name, row in done.items() if named.get(name) != row]
    return lines + [f"nobody carries out {name}" for name in named if name not in done]
