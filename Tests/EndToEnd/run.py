"""The built command against clients and backends that misbehave.

run.py RATEL [MODULE|TEST ...]        as in: run.py .build/debug/ratel test_tokens
"""

import importlib
import os
import pathlib
import resource
import sys
import traceback

from backend import Backend, hello
from harness import Stack

from cases import attempt  # harness names the folder

HERE = pathlib.Path(__file__).resolve().parent


class Context:
    """One running stack, shared by the tests of a module; each test sets the backend's handler."""

    def __init__(self, ratel, backend, stack):
        self.ratel, self.backend, self.stack = ratel, backend, stack
        self.port = stack.port


def main():
    ratel, chosen = sys.argv[1], sys.argv[2:]
    # No test asks the vendors' own services, or writes where a person keeps collateral.
    os.environ |= {"RATEL_PCS": "off", "RATEL_KDS": "off", "RATEL_RIM": "off", "RATEL_OCSP": "off",
                   "RATEL_COLLATERAL_CACHE": "off"}
    # 5,000 idle connections are two descriptors each on this side and the other.
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    names = sorted(path.stem for path in HERE.glob("test_*.py"))
    results = []
    for name in names:
        module = importlib.import_module(name)
        tests = [test for test in dir(module) if test.startswith("test_")]
        if chosen and name not in chosen:
            tests = [test for test in tests if test in chosen]
        if tests:
            results += run_module(ratel, module, tests)
    failed = [name for name, passed in results if not passed]
    for name in failed:
        print(f"failed: {name}")
    print(f"{len(results) - len(failed)} passed, {len(failed)} failed")
    sys.exit(1 if failed else 0)


def run_module(ratel, module, tests):
    print(f"{module.__name__}: {module.__doc__.splitlines()[0]}", flush=True)
    backend = Backend()
    results = []
    try:
        with Stack(ratel, f"http://127.0.0.1:{backend.port}") as stack:
            context = Context(ratel, backend, stack)
            for test in tests:
                backend.handler = hello
                outcome = attempt(test, getattr(module, test), context)
                results.append((f"{module.__name__}.{test}", outcome == "passed"))
            if not all(passed for _, passed in results):
                print(f"serve said:\n{stack.serve.text()[-2000:]}")
                print(f"connect said:\n{stack.connect.text()[-2000:]}")
    except Exception:
        traceback.print_exc(limit=-4)
        results.append((f"{module.__name__} (start)", False))
    finally:
        backend.close()
    return results


if __name__ == "__main__":
    main()
