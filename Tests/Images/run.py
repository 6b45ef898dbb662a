"""The images: what is in them, that they are the same bytes everywhere, and that they run.

run.py MODULE ...             as in: run.py test_scan test_container
"""

import importlib
import sys
import time
import traceback


def main():
    passed = failed = 0
    for name in sys.argv[1:]:
        module = importlib.import_module(name)
        print(f"{name}: {module.__doc__.splitlines()[0]}", flush=True)
        for test in [one for one in vars(module) if one.startswith("test_")]:
            start = time.monotonic()
            try:
                getattr(module, test)()
                passed, how = passed + 1, "ok"
            except Exception:
                traceback.print_exc()
                failed, how = failed + 1, "FAILED"
            print(f"  {test} {how} {time.monotonic() - start:.1f} s", flush=True)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
