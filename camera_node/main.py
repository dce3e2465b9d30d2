"""The executable ``camera_node``."""

from __future__ import annotations

from typing import NoReturn

from camera_node.node import CameraNode
from camera_node.settings import TABLE
from fetch_sim2real import graph
from fetch_sim2real.ros.main_loop import run_node


def main() -> NoReturn:
    """Run the node; the process ends with it."""
    run_node(CameraNode, graph.CAMERA_NODE, "A RealSense camera: colour, and depth aligned to it.", TABLE)


if __name__ == "__main__":
    main()
