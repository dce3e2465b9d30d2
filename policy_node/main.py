"""The executable ``policy_node``."""

from __future__ import annotations

import sys

from fetch_sim2real import graph
from node_support.main_loop import StackNode, run_node
from policy_node.settings import TABLE


def make() -> StackNode:
    """The node; imported here, because that takes seconds."""
    from policy_node.node import PolicyNode

    return PolicyNode()


def main(args: list[str] | None = None) -> int:
    """Run the node; returns the exit status."""
    return run_node(make, graph.POLICY_NODE, "Runs a policy bundle on RGB-D frames.", TABLE, args)


if __name__ == "__main__":
    sys.exit(main())
