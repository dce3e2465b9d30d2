"""Small rigid motions: six numbers -> a pose, and back."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike

from fetch_sim2real.perception.camera import Pose
from fetch_sim2real.types import FloatArray


def pose_of_vector(vector: ArrayLike) -> Pose:
    """Return the pose of a position (3,) [m] followed by a rotation vector (3,) [rad]."""
    six = np.asarray(vector, dtype=np.float64)
    rotation, _ = cv2.Rodrigues(six[3:].reshape(3, 1))
    return Pose(six[:3], np.asarray(rotation, dtype=np.float64))


def rotation_vector(pose: Pose) -> FloatArray:
    """Return the rotation vector (3,) [rad] of a pose: axis times angle."""
    vector, _ = cv2.Rodrigues(np.array(pose.rotation))
    return np.asarray(vector, dtype=np.float64).ravel()


def vector_of_pose(pose: Pose) -> FloatArray:
    """Return six numbers (6,) that ``pose_of_vector`` takes."""
    return np.concatenate([pose.position, rotation_vector(pose)])
