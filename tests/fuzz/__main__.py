"""`make fuzz`: feeds every decoder that we wrote. Ends with 1 where one breaks, and says how to see it again."""

from __future__ import annotations

import argparse
import secrets
import sys
import time

from tests.fuzz.run import Broken, once, run
from tests.fuzz.targets import targets


def main() -> int:
    known = {target.name: target for target in targets()}
    parser = argparse.ArgumentParser(prog="make fuzz ARGS=...", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="TARGET", help=f"which of {', '.join(known)}; default: all")
    parser.add_argument("--inputs", type=int, default=100_000, help="for each target; default: 100000")
    parser.add_argument("--seed", type=int, help="default: another one each time; it is printed")
    parser.add_argument("--only", type=int, metavar="NUMBER", help="one input alone, as a failure names it")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(known):
        parser.error(f"no target is called {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    seed = secrets.randbits(32) if arguments.seed is None else arguments.seed
    print(f"seed {seed}")
    for name in arguments.names or known:
        began_s = time.monotonic()
        try:
            if arguments.only is not None:
                once(known[name], seed=seed, number=arguments.only)
            else:
                run(known[name], inputs=arguments.inputs, seed=seed)
        except Broken as broken:
            print(broken, file=sys.stderr)
            return 1
        took_s = time.monotonic() - began_s
        print(
            f"{name}: {1 if arguments.only is not None else arguments.inputs} inputs in {took_s:.1f} s, none broke it"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
