"""The camera's node."""

from __future__ import annotations

from camera_node.sdk import realsense
from camera_node.settings import TABLE, camera_settings
from fetch_sim2real import graph
from node_support.main_loop import StackNode


class CameraNode(StackNode):
    """Publishes what a RealSense camera sees."""

    def __init__(self) -> None:
        super().__init__(graph.CAMERA_NODE, TABLE)
        self._settings = camera_settings(self.parameters)
        realsense()
