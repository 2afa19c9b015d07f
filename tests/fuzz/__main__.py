"""Fuzz every parser, or those that are named, several at once.

Each target's new inputs are kept in tests/fuzz/corpus/ with --keep, the smallest that take all paths. Prints a table,
and ends with 1 if anything was found: it lies in the directory of --findings, with its traceback beside it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fuzz.campaign import HEAD, Limits, Outcome, run
from tests.fuzz.native_parts import PARTS, fuzzer_missing
from tests.fuzz.table import TARGETS, listed

ANEW = "anew"  # of tests/conftest.py


def main() -> int:
    """Do what the options say."""
    names = list(TARGETS)
    if fuzzer_missing():
        print(f"{', '.join(PARTS)} are left out: {fuzzer_missing()}", file=sys.stderr)
    else:
        names += PARTS
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default: 60)")
    parser.add_argument("--inputs", type=int, default=0, help="for each target, if they come first (default: any)")
    parser.add_argument("--target", action="append", choices=names, help="only this one; may be given again")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="at once (default: as many as cores)")
    parser.add_argument("--findings", type=Path, default=Path("build/fuzz"), help="directory (default: build/fuzz)")
    parser.add_argument("--list", action="store_true", help="only print the targets, as docs/fuzzing.md has them")
    parser.add_argument("--keep", action="store_true", help="keep new inputs in the corpus")
    options = parser.parse_args()
    if options.list:
        print("\n".join(listed()))
        return 0

    def one(name: str) -> Outcome:
        limits = Limits(options.seconds, options.inputs)
        return run(name, limits, options.findings.resolve() / name, keep=options.keep)

    print(HEAD, flush=True)
    found = 0
    with ThreadPoolExecutor(options.jobs) as pool:
        for outcome in pool.map(one, options.target or names):
            print(outcome, flush=True)
            found += outcome.crashes + outcome.slow
    if not options.target:
        found += _examples()
    if found:
        print(f"{found} findings, see {options.findings}", file=sys.stderr)
    return 1 if found else 0


def _examples() -> int:
    """The property tests with new examples, which CI has fixed. How many runs of them failed: 0 or 1."""
    environ = {name: value for name, value in os.environ.items() if name != "CI"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-m",
        "hypothesis and not e2e and not browser",
        f"--hypothesis-profile={ANEW}",
    ]
    return int(subprocess.run(command, env=environ, check=False).returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
