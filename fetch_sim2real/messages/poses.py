"""Pose messages to arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from fetch_sim2real.types import FloatArray


def position_of(message: Any) -> FloatArray:
    """Position (3,) [m] of a pose."""
    point = message.pose.position
    return np.array([point.x, point.y, point.z])
