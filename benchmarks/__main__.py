"""Runs every benchmark."""

from __future__ import annotations

import sys

from benchmarks import lockstep, realtime
from benchmarks.graph_run import parser


def main(arguments: list[str] | None = None) -> int:
    """Real time first: it suffers most from whatever else the machine is doing."""
    made = parser(__doc__ or "")
    for benchmark in (realtime, lockstep):
        benchmark.add_options(made)
    options = made.parse_args(arguments)
    for benchmark in (realtime, lockstep):
        benchmark.run(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
