"""The images: what is in them, that they are the same bytes everywhere, and that they run.

run.py MODULE ...             as in: run.py test_scan test_container
"""

import importlib
import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "Support"))

from cases import attempt  # noqa: E402


def main():
    passed = failed = 0
    for name in sys.argv[1:]:
        module = importlib.import_module(name)
        print(f"{name}: {module.__doc__.splitlines()[0]}", flush=True)
        for test in [one for one in vars(module) if one.startswith("test_")]:
            good = attempt(test, getattr(module, test)) == "passed"
            passed, failed = passed + good, failed + (not good)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
