"""The depth sensor beside the colour camera, as far apart in a D435's housing as these numbers say.

Where pictures go through a software device, depth is rendered from here and the SDK aligns it to colour, as it does
with a camera's. Everywhere else it is rendered from the colour camera's place, which is what alignment aims at.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from fetch_sim2real.perception.camera import CameraModel, Pose

_TURN_RAD: Final = np.deg2rad(0.3)  # no two sensors are mounted parallel
# Where it is in the colour camera's optical frame: to its right, seen from behind.
COLOR_T_DEPTH: Final = Pose(
    np.array([0.015, 0.0003, -0.0004]),
    np.array(
        [
            [np.cos(_TURN_RAD), 0.0, np.sin(_TURN_RAD)],
            [0.0, 1.0, 0.0],
            [-np.sin(_TURN_RAD), 0.0, np.cos(_TURN_RAD)],
        ]
    ),
)
# 87 degrees wide at 16:9, so wider than colour: seen from there, each of its pixels covers more than one.
VERTICAL_FOV_DEG: Final = 56.5


def depth_sensor_model(width: int, height: int) -> CameraModel:
    """Its intrinsics for pictures of ``width`` x ``height``."""
    return CameraModel.from_fovy(width, height, float(np.deg2rad(VERTICAL_FOV_DEG)))
