"""The router's page in Chromium: what is on it, what it refuses to run, how it looks.

run.py RATEL [TEST ...]      screenshots go to .build/test-artefacts/ui
"""

import os
import pathlib
import shutil
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "EndToEnd"), str(HERE.parent / "Support")]

from cases import attempt  # noqa: E402


def main():
    if not shutil.which("chromium"):
        print("skipped: install the package `chromium`, or run `make test-ui`")
        print("0 passed, 0 failed")
        sys.exit(1)
    os.environ |= {"RATEL_PCS": "off", "RATEL_KDS": "off", "RATEL_RIM": "off", "RATEL_OCSP": "off",
                   "RATEL_COLLATERAL_CACHE": "off"}
    import test_page
    ratel, chosen = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:]
    passed = failed = 0
    with test_page.Scene(ratel) as scene:
        for name in [name for name in vars(test_page) if name.startswith("test_")]:
            if chosen and name not in chosen:
                continue
            good = attempt(name, getattr(test_page, name), scene) == "passed"
            passed, failed = passed + good, failed + (not good)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
