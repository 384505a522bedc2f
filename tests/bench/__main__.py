"""`make bench`: measurements, run by hand. Nothing here passes or fails; it prints tables, and JSON with --json."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform

BENCHES = {
    "coldstart": "tests.bench.coldstart",
    "modbus": "tests.bench.modbus",
    "browse": "tests.bench.browse",
    "spool": "tests.bench.spool",
    "wear": "tests.bench.wear",
    "drain": "tests.bench.drain",
    "whole": "tests.bench.whole",
    "ramp": "tests.bench.ramp",
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which of {', '.join(BENCHES)}; default: all")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(BENCHES)
    if unknown:
        parser.error(f"no bench is called {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}")
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    figures = {}
    for name in arguments.names or BENCHES:
        print(f"\n== {name}")
        figures[name] = importlib.import_module(BENCHES[name]).run()
    if arguments.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
