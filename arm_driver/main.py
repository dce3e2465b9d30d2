"""The executable ``arm_driver``."""

from __future__ import annotations

from typing import NoReturn

from arm_driver.settings import TABLE
from fetch_sim2real import graph
from fetch_sim2real.ros.main_loop import StackNode, run_node


def make() -> StackNode:
    """Return the node; imported here, because that takes a second."""
    from arm_driver.node import ArmDriver

    return ArmDriver()


def main(args: list[str] | None = None) -> NoReturn:
    """Run the node; the process ends with it."""
    run_node(make, graph.ARM_DRIVER, "Safety filter between a commander and a Fetch arm.", TABLE, args)


if __name__ == "__main__":
    main()
