"""Breaks every input in thousands of ways: 0 crashes, 0 hangs and 0 unnamed refusals are expected.

The exit status is 1 if there is any. Every mutant follows from the seed, its input and its number.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.mutations.campaign import Tally, try_mutants
from benchmarks.mutations.inputs import all_inputs

_SHOWN = 5


def main(arguments: list[str] | None = None) -> int:
    """Try the mutants that are asked for and print what became of them."""
    parser = argparse.ArgumentParser(prog="benchmarks.mutations", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="mutants of each input")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", metavar="INPUT", help="these inputs alone")
    parser.add_argument("--mutant", type=int, help="this mutant alone, by its number")
    options = parser.parse_args(arguments)
    numbers = range(options.count) if options.mutant is None else range(options.mutant, options.mutant + 1)
    tallies = []
    with tempfile.TemporaryDirectory() as folder, all_inputs(Path(folder)) as inputs:
        for tried in inputs:
            if options.only is None or tried.name in options.only:
                started_s = time.monotonic()
                tallies.append(try_mutants(tried, numbers, options.seed))
                _show(tallies[-1], time.monotonic() - started_s)
    return 1 if any(tally.failures for tally in tallies) else 0


def _show(tally: Tally, duration_s: float) -> None:
    print(
        f"{tally.input}: {tally.accepted} accepted, {tally.refused} refused, {len(tally.failures)} failures; "
        f"{duration_s:.1f} s",
        flush=True,
    )
    for failure in tally.failures[:_SHOWN]:
        print(f"  {failure.what} at --only {failure.input} --mutant {failure.mutant}:\n    {failure.text.strip()}")


if __name__ == "__main__":
    sys.exit(main())
