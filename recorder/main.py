"""``recorder``: record the graph to an MCAP bag."""

from __future__ import annotations

import sys

from fetch_sim2real import graph
from node_support.main_loop import run_node
from recorder.node import RecorderNode
from recorder.settings import TABLE


def main(args: list[str] | None = None) -> int:
    """Run the node until it is interrupted."""
    return run_node(RecorderNode, graph.RECORDER, "Records every topic of the graph to an MCAP bag.", TABLE, args)


if __name__ == "__main__":
    sys.exit(main())
