"""CameraInfo messages to camera models."""

from __future__ import annotations

from typing import Any

from fetch_sim2real.perception.camera import CameraModel
from fetch_sim2real.perception.distortion import LensDistortion


def camera_model_of(message: Any) -> CameraModel:
    """The camera; ObservationError where its numbers are impossible or its distortion has a model that is not known.

    How much its lens distorts is judged where a picture is used (``observation.preprocess``).
    """
    fx, _, cx, _, fy, cy = (float(value) for value in message.k[:6])
    distortion = LensDistortion.named(str(message.distortion_model), message.d)
    return CameraModel(int(message.width), int(message.height), fx, fy, cx, cy, distortion)
