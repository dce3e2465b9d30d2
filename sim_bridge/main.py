"""The executable ``sim_bridge``."""

from __future__ import annotations

import sys

from fetch_sim2real import graph
from node_support.main_loop import run_node
from sim_bridge.node import SimBridge
from sim_bridge.settings import TABLE


def main() -> int:
    """Run the node; returns the exit status."""
    return run_node(SimBridge, graph.SIM_BRIDGE, "A simulated Fetch and its camera.", TABLE)


if __name__ == "__main__":
    sys.exit(main())
