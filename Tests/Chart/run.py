"""The Helm chart, by both Helms: what it renders, what it refuses, what it says.

run.py RATEL [--update] [TEST ...]     --update writes the golden files anew
"""

import importlib
import pathlib
import sys
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent


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
            started = time.monotonic()
            good = run_test(getattr(module, name), ratel)
            took = time.monotonic() - started
            print(f"  {'✔' if good else '✘'} {name} ({took:.2f} s)", flush=True)
            passed, failed = passed + good, failed + (not good)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


def run_test(test, ratel):
    try:
        test(ratel)
        return True
    except Exception:
        traceback.print_exc(limit=-4, file=sys.stdout)
        return False


if __name__ == "__main__":
    main()
