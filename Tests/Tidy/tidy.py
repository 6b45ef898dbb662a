"""Holds the layout to its rules: what may import what, sizes, where `unsafe` may stand, names.

    tidy.py [--no-format]

Reads the files that git knows of, so that build outputs are left alone. One line per finding.
"""

import pathlib
import re
import subprocess
import sys
from collections import defaultdict

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
MAX_LINES, MAX_COLUMNS = 400, 100

# The arrows of the design, from each target to the targets that it may import.
IMPORTS = {
    "Bytes": set(),
    "Loop": {"Bytes", "CUV"},
    "Keys": {"Bytes", "COpenSSL", "CLibXML2", "CZlib"},
    "TLS": {"Bytes", "Keys", "COpenSSL", "CRecycler"},
    "HTTP": {"Bytes", "CNGHTTP2", "CRecycler"},
    "Streams": {"Bytes", "Loop", "TLS", "HTTP"},
    "RATS": {"Bytes"},
    "Attestation": {"Bytes", "RATS", "Keys", "CTSS2"},
    "Appraisal": {"Bytes", "RATS", "Keys"},
    "RATLS": {"Bytes", "RATS", "Keys", "TLS", "Appraisal"},
    "Receipts": {"Bytes", "RATS", "Keys"},
    "Ledger": {"Receipts", "RATS", "Keys", "Loop", "CSQLite", "CPostgreSQL"},
}
IMPORTS["Ratel"] = set(IMPORTS) | {
    "Logging",
    "Yams",
    "FoundationEssentials",
}
IMPORTS["RatelCommand"] = {"Ratel", "ArgumentParser", "Logging"}
# What lies at the top; a stray file is easily committed with the rest.
TOP = {".ci", ".gitignore", ".swift-format", "Examples", "Helm", "Images", "LICENSE", "Makefile"}
TOP |= {"Package.swift", "README.md", "Sources", "Tests"}
SYSTEM = {"Glibc", "Synchronization"}
# The modules at the edge of C and of the buffers.
UNSAFE = {"Bytes", "Loop", "Keys", "TLS", "Attestation", "Ledger"}
# And one folder: nghttp2's edge.
UNSAFE_FOLDER = "Sources/HTTP/HTTP2/"
UNSAFE_WORDS = re.compile(
    r"\bunsafe\b|\bUnmanaged\b|\bUnsafe\w*Pointer\b|@unchecked\b|\bwithUnsafe\w*"
    r"|@_silgen_name|@_cdecl"
)
FORBIDDEN = [
    (re.compile(r"\btry!"), "try!"),
    (re.compile(r"\bas!"), "as!"),
    (re.compile(r"\b(?:TODO|FIXME|XXX)\b"), "an unfinished note"),
]
# Paths of one machine, and of the place where the design lies; `../shared` is the way there.
MACHINE = re.compile(r"(?<![\w.])/(?:work|root|home|srv|Users)/\w")
STRIP = re.compile(
    r'//[^\n]*|/\*.*?\*/|#*"""(?:.*?)"""#*|"(?:\\.|[^"\\\n])*"',
    re.DOTALL,
)


def main():
    files = listed()
    findings = []
    for path in files:
        text = read(path)
        if text is None:
            continue
        findings += sizes(path, text) + places(path, text)
        if path.suffix == ".swift":
            findings += words(path, text)
            if path.parts[0] == "Sources":
                findings += module_rules(path, text)
    findings += same_names(files)
    findings += [f"{path}: does not belong here" for path in files if path.parts[0] not in TOP]
    findings += package_arrows()
    if "--no-format" not in sys.argv:
        findings += formatting(files)
    for finding in findings:
        print(finding)
    print(f"{0 if findings else 1} passed, {len(findings)} failed")
    sys.exit(1 if findings else 0)


def listed():
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = [pathlib.Path(line) for line in output.splitlines()]
    return [path for path in paths if (ROOT / path).is_file()]


def read(path):
    try:
        return (ROOT / path).read_text()
    except UnicodeDecodeError:
        return None  # Binary: a seed or a vector.


def code(text):
    """The text without comments and string literals, its lines kept."""
    return STRIP.sub(lambda match: '""' + "\n" * match.group().count("\n"), text)


def sizes(path, text):
    if path.suffix not in {".swift", ".py", ".sh", ".h", ".c"}:
        return []
    lines = text.splitlines()
    found = [
        f"{path}:{number}: {len(line)} columns, at most {MAX_COLUMNS}"
        for number, line in enumerate(lines, 1)
        if len(line) > MAX_COLUMNS
    ]
    if len(lines) > MAX_LINES:
        found.append(f"{path}: {len(lines)} lines, at most {MAX_LINES}")
    return found


def places(path, text):
    if path == pathlib.Path("Tests/Tidy/tidy.py"):
        return []
    return [f"{path}:{line}: a path of one machine" for line in lines_of(MACHINE, text)]


def lines_of(pattern, text):
    return [text.count("\n", 0, match.start()) + 1 for match in pattern.finditer(text)]


def words(path, text):
    found = []
    bare = code(text)
    for pattern, name in FORBIDDEN[:2]:
        if path.parts[0] == "Sources":
            found += [f"{path}:{line}: {name}" for line in lines_of(pattern, bare)]
    pattern, name = FORBIDDEN[2]
    found += [f"{path}:{line}: {name}" for line in lines_of(pattern, text)]
    found += [
        f"{path}:{line}: Foundation, of which only FoundationEssentials may be used"
        for line in lines_of(re.compile(r"\bimport Foundation\b"), bare)
    ]
    return found


def module_rules(path, text):
    module, bare, found = path.parts[1], code(text), []
    if module not in IMPORTS:
        return [] if path.suffix == ".h" else [f"{path}: {module} is not in the design"]
    for match in re.finditer(r"^[ \t]*(?:@\w+ |\w+ )*import (?:\w+ )?(\w+)", bare, re.MULTILINE):
        if match.group(1) not in IMPORTS[module] | SYSTEM:
            found.append(f"{path}: {module} may not import {match.group(1)}")
    if module not in UNSAFE and not str(path).startswith(UNSAFE_FOLDER):
        found += [
            f"{path}:{line}: `unsafe` outside {', '.join(sorted(UNSAFE))}"
            for line in lines_of(UNSAFE_WORDS, bare)
        ]
    if module != "RATLS":
        # The right to open a connection is made where the exchange is, and nowhere else.
        found += [
            f"{path}:{line}: a Passage made outside RATLS"
            for line in lines_of(re.compile(r"\bPassage\(channelID"), bare)
        ]
    if module != "RatelCommand":
        found += [
            f"{path}:{line}: print outside RatelCommand"
            for line in lines_of(re.compile(r"(?<![\w.])(?:debugPrint|print|dump)\("), bare)
        ]
    return found


def same_names(files):
    seen = defaultdict(list)
    for path in files:
        if path.suffix == ".swift" and path.parts[0] == "Sources":
            seen[path.parts[1], path.name].append(path)
    return [f"{paths[0]}: also {paths[1]}" for paths in seen.values() if len(paths) > 1]


def package_arrows():
    """Package.swift declares no arrow that the design does not draw."""
    found = []
    text = re.sub(r"//[^\n]*", "", (ROOT / "Package.swift").read_text())
    for match in re.finditer(r'\bmodule\(\s*"(\w+)"(?:,\s*\[(.*?)\]\s*\))?', text, re.DOTALL):
        name, list_text = match.group(1), match.group(2) or ""
        targets = set(re.findall(r'(?<!package: )(?<!name: )"(\w+)"', list_text))
        extra = targets - IMPORTS.get(name, set())
        if name not in IMPORTS or extra:
            found.append(f"Package.swift: {name} may not depend on {', '.join(sorted(extra))}")
    return found


def formatting(files):
    swift = [str(path) for path in files if path.suffix == ".swift"]
    command = ["swift", "format", "lint", "--strict", "--parallel", *swift]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    names = [line.split(":")[0] for line in done.stderr.splitlines() if ": error:" in line]
    found = [f"{name}: not formatted, see `make format`" for name in dict.fromkeys(names)]
    if done.returncode != 0 and not found:
        found = ["swift format: " + done.stderr.strip()[-300:]]
    return found


if __name__ == "__main__":
    main()
