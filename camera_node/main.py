"""The executable ``camera_node``."""

from __future__ import annotations

import sys

from camera_node.node import CameraNode
from camera_node.settings import TABLE
from fetch_sim2real import graph
from node_support.main_loop import run_node


def main() -> int:
    """Run the node; returns the exit status."""
    return run_node(CameraNode, graph.CAMERA_NODE, "A RealSense camera: colour, and depth aligned to it.", TABLE)


if __name__ == "__main__":
    sys.exit(main())
