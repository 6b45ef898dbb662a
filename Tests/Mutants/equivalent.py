"""The list of mutants that change nothing, each with the proof in one line.

    FILE | KIND | TEXT | PROOF

FILE is a path below Sources, KIND one of delete, bound, call, throw, and TEXT the check as it
stands in the source, its blanks made one. Lines have no numbers: they move.
"""


def read(path):
    found = {}
    for line in path.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        file, kind, text, proof = (part.strip() for part in line.split(" | ", 3))
        assert proof, line
        found[f"Sources/{file}", kind, text] = {"line": line, "used": False}
    return found


def key(mutant):
    return mutant["file"], mutant["kind"], mutant["text"]
