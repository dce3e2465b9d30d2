"""Arrays and numbers out of messages as ``rosbags`` reads them from a bag. Needs no ROS."""

from __future__ import annotations

from typing import Any

import numpy as np

from fetch_sim2real.observation.camera import CameraModel


def rgb_of(message: Any) -> Any:
    """rgb (H, W, 3) uint8 of an rgb8 image."""
    return message.data.reshape(message.height, message.step)[:, : 3 * message.width].reshape(
        message.height, message.width, 3
    )


def depth_mm_of(message: Any) -> Any:
    """Depth (H, W) uint16 [mm] of a 16UC1 image."""
    return message.data.view(np.uint16).reshape(message.height, message.step // 2)[:, : message.width]


def camera_of(message: Any) -> CameraModel:
    """The pinhole of a CameraInfo."""
    fx, _, cx, _, fy, cy = (float(value) for value in message.k[:6])
    return CameraModel(int(message.width), int(message.height), fx, fy, cx, cy)
