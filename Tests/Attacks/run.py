"""Each attack that the design of the channel names, against Ratel and against a weaker protocol.

run.py RATEL [ATTACK ...]             as in: run.py .build/debug/ratel attack_relay

Every attack fails against Ratel, and succeeds once the defence that answers it is gone: in a model
of both ends whose defences can be taken out (model.py), or in Ratel itself where a policy decides.
"""

import importlib
import os
import pathlib
import sys
import time
import traceback

from rows import faults

HERE = pathlib.Path(__file__).resolve().parent


def main():
    ratel, chosen = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:]
    os.environ |= {"RATEL_PCS": "off", "RATEL_KDS": "off", "RATEL_RIM": "off", "RATEL_OCSP": "off",
                   "RATEL_COLLATERAL_CACHE": "off"}
    import case

    attacks = {}
    for name in sorted(path.stem for path in HERE.glob("attacks_*.py")):
        module = importlib.import_module(name)
        attacks |= {item: getattr(module, item) for item in dir(module)
                    if item.startswith("attack_")}
    failed = faults(attacks)
    for line in failed:
        print(line)
    passed = 0
    for name, attack in attacks.items():
        if chosen and name not in chosen:
            continue
        started = time.monotonic()
        try:
            with case.place(ratel) as place:
                attack(place)
            passed += 1
            mark = "✔"
        except Exception:
            traceback.print_exc(limit=-6, file=sys.stdout)
            failed.append(name)
            mark = "✘"
        print(f"  {mark} {attack.row} ({time.monotonic() - started:.1f} s)", flush=True)
    print(f"{passed} passed, {len(failed)} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
