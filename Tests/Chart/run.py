"""The Helm chart, by both Helms: what it renders, what it refuses, what it says.

run.py RATEL [--update] [TEST ...]     --update writes the golden files anew
"""

import importlib
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "Support"))

from cases import attempt  # noqa: E402


def main():
    words = [word for word in sys.argv[1:] if word != "--update"]
    ratel, chosen = pathlib.Path(words[0]).resolve(), words[1:]
    if "--update" in sys.argv:
        importlib.import_module("test_rendering").update()
    passed = failed = 0
    for path in sorted(HERE.glob("test_*.py")):
        module = importlib.import_module(path.stem)
        print(f"{path.stem}: {module.__doc__.splitlines()[0]}", flush=True)
        tests = [name for name in dir(module) if name.startswith("test_")]
        for name in tests if not chosen else [name for name in tests if name in chosen]:
            good = attempt(name, getattr(module, name), ratel) == "passed"
            passed, failed = passed + good, failed + (not good)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
