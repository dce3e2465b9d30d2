"""The executable ``policy_node``."""

from __future__ import annotations

from typing import NoReturn

from fetch_sim2real import graph
from fetch_sim2real.ros.main_loop import StackNode, run_node
from policy_node.settings import TABLE


def make() -> StackNode:
    """Return the node; imported here, because that takes seconds."""
    from policy_node.node import PolicyNode

    return PolicyNode()


def main(args: list[str] | None = None) -> NoReturn:
    """Run the node; the process ends with it."""
    run_node(make, graph.POLICY_NODE, "Runs a policy bundle on RGB-D frames.", TABLE, args)


if __name__ == "__main__":
    main()
