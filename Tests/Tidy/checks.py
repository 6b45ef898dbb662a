"""Writes the table of checks: every refusal code of the verifier, what it checks, who asserts it.

    checks.py            writes Sources/Ratel/Ratel.docc/Checks.md
    checks.py --check    fails where the page is out of date or a code has no test that asserts it

Codes, fields and expectations are read where the source makes a refusal; a test asserts a code
where the code stands in it. What differs at run time stands as `<name>`.
"""

import pathlib
import re
import sys

import lines

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "Sources" / "Ratel" / "Ratel.docc" / "Checks.md"
SOURCES = ["Sources/Appraisal", "Sources/RATLS"]
# Swift tests first: they are what a mutation run runs.
TESTS = ["Tests/KeysTests", "Tests/AppraisalTests", "Tests/RATLSTests", "Tests/RatelTests"]
TESTS += ["Tests/AttestationTests", "Tests/EndToEnd", "Tests/Evidence", "Tests/Differential"]
TESTS += ["Tests/Scenarios"]
# Who makes refusals, with the place of the code among the arguments (-1: the last).
MAKERS = {
    "Refusal": 0, "refusal": 0, "evidence": 0, "collateral": 0, "policy": 0, "chainRefusal": 0,
    "Refusal.init": 0, "require": None, "validate": None,
}
CODE = re.compile(r'^"([a-z][a-z0-9_]*(?:\.(?:[a-z0-9_]|\\\([^)]*\))+)+)"$')
CALL = re.compile(r"(?<![\w])(\w+)\(")
SHOWN = 4


def main():
    codes = collect()
    asserted = assertions()
    page = render(codes, asserted)
    missing = [
        code for code in codes
        if not tests_of(code, asserted) and code not in lines.UNREACHABLE
    ]
    for code in missing:
        print(f"{code}: no test asserts it")
    if "--check" not in sys.argv:
        PAGE.write_text(page)
        print(f"{len(codes)} codes, {len(missing)} without a test")
        sys.exit(1 if missing else 0)
    stale = not PAGE.exists() or PAGE.read_text() != page
    if stale:
        print(f"{PAGE.relative_to(ROOT)} is out of date: make checks")
    failed = len(missing) + stale
    print(f"{len(codes) - len(missing) + (not stale)} passed, {failed} failed")
    sys.exit(1 if failed else 0)


# What the sources refuse.


def collect():
    """Each code with the places where it is given: file, field and expectation."""
    codes = {}
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*.swift")):
            for code, field, expected in refusals(path):
                codes.setdefault(code, []).append((path.stem, field, expected))
    return dict(sorted(codes.items()))


def refusals(path):
    text = uncommented(path.read_text())
    for match in CALL.finditer(text):
        name = match.group(1)
        if name not in MAKERS:
            continue
        found = arguments(text, match.end())
        values = [value for _, value in found]
        for index, value in enumerate(values):
            for code in literals(value):
                if index > 0 and MAKERS[name] == 0:
                    continue
                yield full(code, path, text), *words(name, found, index)


def literals(value):
    """The codes that an argument may be: one, or those of a ternary."""
    for part in re.split(r" [?:] ", value):
        match = CODE.match(part.strip())
        if match:
            yield match.group(1)


def full(code, path, text):
    """The code with the prefix that the file's helper puts in front."""
    parts = path.parts
    if "DCAP" in parts and not code.startswith("dcap."):
        code = "dcap." + code
    elif "NVIDIA" in parts and not code.startswith(("nvidia.", "policy.")):
        code = "nvidia." + code
    elif path.stem == "HCLHardware" and not code.startswith("tpm."):
        code = "dcap." + code
    return re.sub(r"\\\(\s*(?:\w+\.)*(\w+)\s*\)", r"<\1>", code)


def words(name, found, index):
    """Field and expectation, by label or by place."""
    labelled = {label: value for label, value in found if label}
    if "field" in labelled:
        return plain(labelled["field"]), plain(labelled.get("expected", ""))
    rest = [value for _, value in found[index + 1:] if not value.startswith(".")]
    if name == "chainRefusal":
        return "certificate chain", plain(rest[0])
    if name == "require":
        if index == len(found) - 1:
            return plain(found[index][1]), "one of the policy's"
        return plain(rest[0]), plain(rest[1]) if len(rest) > 1 else ""
    if name == "validate":
        return "certificate chain", "a current path to a pinned root"
    if len(rest) < 2:
        return "", plain(rest[0]) if rest else ""
    return plain(rest[0]), plain(rest[1])


def plain(value):
    """A literal as text; what is worked out at run time by its name in the source."""
    value = " ".join(value.split()).replace('" + "', "")
    if value == "":
        return ""
    if not value.startswith('"') or '" + ' in value:
        return "what the policy says" if "policy" in value else shown(value)
    value = re.sub(r"\\\(((?:[^()]|\((?:[^()]|\([^()]*\))*\))*)\)", lambda m: shown(m[1]), value)
    return value.strip('"').replace("|", "\\|")


def shown(expression):
    words = re.sub(r"\b(?:Hex|String|map|encode|joined|separator|serialised|description|bytes)\b",
                   "", re.sub(r'"[^"]*"', "", expression))
    names = re.findall(r"[A-Za-z_]\w+", words)
    return f"<{names[-1]}>" if names else "<value>"


def uncommented(text):
    """Without comments, strings kept whole."""
    return re.sub(
        r'("(?:\\.|[^"\\\n])*")|//[^\n]*', lambda match: match.group(1) or "", text)


def arguments(text, start):
    """Label and text of each argument of the call whose parenthesis opens before `start`."""
    found, depth, begin, index = [], 0, start, start
    while index < len(text):
        character = text[index]
        if character == '"':
            index = end_of_string(text, index)
            continue
        if character in "([{":
            depth += 1
        elif character in ")]}" and depth > 0:
            depth -= 1
        elif depth == 0 and character in ",)":
            piece = text[begin:index].strip()
            label = re.match(r"(\w+):\s*(.*)", piece, re.DOTALL)
            if piece:
                found.append((label.group(1), label.group(2)) if label else (None, piece))
            if character == ")":
                break
            begin = index + 1
        index += 1
    return found


def end_of_string(text, index):
    index += 1
    while index < len(text) and text[index] != '"':
        if text.startswith("\\(", index):
            depth = 0
            while True:
                depth += {"(": 1, ")": -1}.get(text[index], 0)
                if text[index] == '"':
                    index = end_of_string(text, index) - 1
                index += 1
                if depth == 0 and text[index - 1] == ")":
                    break
            continue
        index += 2 if text[index] == "\\" else 1
    return index + 1


# What the tests assert.


def assertions():
    """Each test with the codes, or patterns of codes, that stand in it."""
    found = []
    for folder in TESTS:
        for path in sorted((ROOT / folder).rglob("*.*")):
            if path.suffix in (".swift", ".py"):
                found += in_code(path)
            elif path.suffix == ".txt":
                words = set(re.findall(r"\b[a-z]+(?:\.[a-z0-9_]+)+\b", path.read_text()))
                found += [(None, word, path.name) for word in sorted(words)]
    return found


def in_code(path):
    text = path.read_text()
    marks = r"(?:@Test[^{]*? )?func (\w+)\(" if path.suffix == ".swift" else r"^ *def (\w+)\("
    names = [
        (match.start(), match.group(1), "@Test" in match.group() or match.group(1)[:5] == "test_")
        for match in re.finditer(marks, text, re.MULTILINE)
    ]
    for match in re.finditer(r'"((?:[^"\\\n]|\\.)*)"', text):
        word = match.group(1)
        if not re.fullmatch(r"[a-z]\w*\.(?:[a-z0-9_.]|\\\([^)]*\))+", word):
            continue
        before = [mark for mark in names if mark[0] < match.start()]
        # A helper inside a test counts as that test, one beside the tests by its own name.
        chosen = [name for _, name, is_test in before if is_test][-1:] or [path.name]
        pattern = "".join(
            "[a-z0-9_]+" if part.startswith("\\(") else re.escape(part)
            for part in re.split(r"(\\\([^)]*\))", word)
        )
        yield re.compile(pattern + r"\Z"), word, chosen[0]


def tests_of(code, asserted):
    wanted = re.compile(re.sub(r"<\w+>", "[a-z0-9_]+", re.escape(code).replace(r"\<", "<")
                               .replace(r"\>", ">")) + r"\Z")
    names = []
    for pattern, word, name in asserted:
        if wanted.match(word) or ("\\(" in word and pattern.match(code)):
            names.append(name)
    return list(dict.fromkeys(names))


# The page.


def render(codes, asserted):
    out = [lines.INTRODUCTION.strip(), ""]
    rest = dict(codes)
    for title, pattern, about in lines.GROUPS:
        chosen = [code for code in rest if re.match(pattern, code)]
        if not chosen:
            continue
        out += [f"## {title}", "", about, ""]
        out += ["| code | what has to hold | checklist | asserted by |", "|---|---|---|---|"]
        for code in chosen:
            out.append(row(code, rest.pop(code), tests_of(code, asserted)))
        out.append("")
    if rest:
        sys.exit(f"no group for {', '.join(rest)}: see lines.py")
    return "\n".join(out)


def row(code, places, tests):
    holds = list(dict.fromkeys(
        f"{field}: {expected}" if field and expected else field or expected
        for _, field, expected in places))
    step = lines.step(code)
    text = "; ".join(holds[:SHOWN]) + ("; and so on" if len(holds) > SHOWN else "")
    names = ", ".join(f"`{name}`" for name in tests[:SHOWN]) or lines.UNREACHABLE.get(code, "")
    if len(tests) > SHOWN:
        names += f" and {len(tests) - SHOWN} more"
    return f"| `{code}` | {text} | {step or ''} | {names} |"


if __name__ == "__main__":
    main()
