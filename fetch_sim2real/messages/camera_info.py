"""CameraInfo messages to camera models."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from fetch_sim2real.errors import ObservationError
from fetch_sim2real.observation.camera import CameraModel

# A distortion that moves no pixel further than this is as good as none.
MAX_DISTORTION_PX: Final = 2.0


def camera_model_of(message: Any) -> CameraModel:
    """The pinhole model; ObservationError where the image is distorted too much to be taken for one."""
    fx, _, cx, _, fy, cy = (float(value) for value in message.k[:6])
    camera = CameraModel(int(message.width), int(message.height), fx, fy, cx, cy)
    moved = _distortion_px(camera, np.array(message.d, dtype=np.float64), message.distortion_model)
    if not moved <= MAX_DISTORTION_PX:
        raise ObservationError(
            f"the camera's distortion ({message.distortion_model}, {list(message.d)}) moves pixels by {moved:.1f}, "
            f"expected at most {MAX_DISTORTION_PX}: use rectified images"
        )
    return camera


def _distortion_px(camera: CameraModel, d: np.ndarray, model: str) -> float:
    """By how many pixels distortion moves the image's corners and edges at most."""
    if not np.any(d):
        return 0.0
    if model != "plumb_bob" or len(d) != 5:
        return float("inf")
    u = np.array([0.0, camera.width / 2, camera.width - 1.0])
    v = np.array([0.0, camera.height / 2, camera.height - 1.0])
    x, y = np.meshgrid((u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy)
    r2 = x**2 + y**2
    radial = d[0] * r2 + d[1] * r2**2 + d[4] * r2**3
    dx = x * radial + 2 * d[2] * x * y + d[3] * (r2 + 2 * x**2)
    dy = y * radial + d[2] * (r2 + 2 * y**2) + 2 * d[3] * x * y
    return float(np.hypot(dx * camera.fx, dy * camera.fy).max())
