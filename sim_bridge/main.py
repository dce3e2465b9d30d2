"""The executable ``sim_bridge``."""

from __future__ import annotations

from typing import NoReturn

from fetch_sim2real import graph
from fetch_sim2real.ros.main_loop import StackNode, run_node
from sim_bridge.settings import TABLE


def make() -> StackNode:
    """Return the node; imported here, because that takes a second."""
    from sim_bridge.node import SimBridge

    return SimBridge()


def main() -> NoReturn:
    """Run the node; the process ends with it."""
    run_node(make, graph.SIM_BRIDGE, "A simulated Fetch and its camera.", TABLE)


if __name__ == "__main__":
    main()
