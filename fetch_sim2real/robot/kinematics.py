"""Forward kinematics of the Fetch's arm, vectorised over configurations.

All positions are in ``base_link`` [m]. Zero angles stretch the arm along the x axis; each link frame is parallel to
``base_link`` then, which is why the whole chain is one rotation about a principal axis per joint.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from fetch_sim2real.types import FloatArray

# The frames of ``forward_kinematics``, from the shoulder outwards. The first seven each follow their joint.
ARM_LINKS: Final[tuple[str, ...]] = (
    "shoulder_pan_link",
    "shoulder_lift_link",
    "upperarm_roll_link",
    "elbow_flex_link",
    "forearm_roll_link",
    "wrist_flex_link",
    "wrist_roll_link",
    "gripper_link",
)

# Joint origins in the frame of the link before (Fetch's MJCF, the same numbers as fetch.urdf).
TORSO_ORIGIN_M: Final = (-0.0869, 0.0, 0.3774)  # torso_lift_link in base_link, torso down
SHOULDER_PAN_IN_TORSO_M: Final = (0.1195, 0.0, 0.3486)
SHOULDER_LIFT_OFFSET_M: Final = (0.117, 0.0, 0.06)  # in shoulder_pan_link
# Every other joint lies on the x axis of the link before it.
UPPERARM_ROLL_X_M: Final = 0.219
ELBOW_FLEX_X_M: Final = 0.133
FOREARM_ROLL_X_M: Final = 0.197
WRIST_FLEX_X_M: Final = 0.1245
WRIST_ROLL_X_M: Final = 0.1385
GRIPPER_X_M: Final = 0.1664  # gripper_link in wrist_roll_link, fixed
GRIP_SITE_X_M: Final = 0.02  # the point between the fingertips, in gripper_link

X, Y, Z, ORIGIN = 0, 1, 2, 3


@dataclass(frozen=True)
class ArmPose:
    """Frames of ``ARM_LINKS`` and the grip site in ``base_link``.

    ``rotation`` (..., 8, 3, 3) has the link's axes as columns; ``position`` (..., 8, 3) and ``grip`` (..., 3) in
    metres.
    """

    rotation: FloatArray
    position: FloatArray
    grip: FloatArray


def forward_kinematics(position: FloatArray, torso_height_m: float) -> ArmPose:
    """Poses of the arm's links for joint angles (..., 7) [rad] and the torso's lift [m]."""
    position = np.asarray(position, dtype=np.float64)
    frames = link_frames(position.reshape(-1, 7), torso_height_m)
    frames = np.concatenate([frames, frames[-1:]])
    frames[-1, ORIGIN] += GRIPPER_X_M * frames[-1, X]
    grip = frames[-1, ORIGIN] + GRIP_SITE_X_M * frames[-1, X]
    shape = position.shape[:-1]
    axes = frames[:, :ORIGIN].transpose(3, 0, 2, 1)
    return ArmPose(
        np.ascontiguousarray(axes).reshape(*shape, len(ARM_LINKS), 3, 3),
        np.ascontiguousarray(frames[:, ORIGIN].transpose(2, 0, 1)).reshape(*shape, len(ARM_LINKS), 3),
        np.ascontiguousarray(grip.T).reshape(*shape, 3),
    )


def grip_position(position: FloatArray, torso_height_m: float) -> FloatArray:
    """Position (..., 3) [m] in ``base_link`` of the grip site, for joint angles (..., 7) [rad]."""
    return forward_kinematics(position, torso_height_m).grip


def link_frames(position: FloatArray, torso_height_m: float) -> FloatArray:
    """The seven moving links' frames as one array (7, 4, 3, B): x, y, z axis and origin, for joint angles (B, 7).

    The batch is the last axis: each step below works on contiguous rows, and a point fixed in a link is a linear
    combination of four of them, so that all collision spheres come out of one matrix product.
    """
    cos, sin = np.cos(position.T), np.sin(position.T)
    frames = np.empty((7, 4, 3, position.shape[0]))
    pan = frames[0]
    pan[X, 0], pan[X, 1], pan[X, 2] = cos[0], sin[0], 0.0
    pan[Y, 0], pan[Y, 1], pan[Y, 2] = -sin[0], cos[0], 0.0
    pan[Z, 0], pan[Z, 1], pan[Z, 2] = 0.0, 0.0, 1.0
    pan[ORIGIN, 0] = TORSO_ORIGIN_M[0] + SHOULDER_PAN_IN_TORSO_M[0]
    pan[ORIGIN, 1] = TORSO_ORIGIN_M[1] + SHOULDER_PAN_IN_TORSO_M[1]
    pan[ORIGIN, 2] = TORSO_ORIGIN_M[2] + torso_height_m + SHOULDER_PAN_IN_TORSO_M[2]

    _turn_about_y(frames[0], frames[1], cos[1], sin[1], SHOULDER_LIFT_OFFSET_M[0])
    frames[1, ORIGIN, 2] += SHOULDER_LIFT_OFFSET_M[2]
    _turn_about_x(frames[1], frames[2], cos[2], sin[2], UPPERARM_ROLL_X_M)
    _turn_about_y(frames[2], frames[3], cos[3], sin[3], ELBOW_FLEX_X_M)
    _turn_about_x(frames[3], frames[4], cos[4], sin[4], FOREARM_ROLL_X_M)
    _turn_about_y(frames[4], frames[5], cos[5], sin[5], WRIST_FLEX_X_M)
    _turn_about_x(frames[5], frames[6], cos[6], sin[6], WRIST_ROLL_X_M)
    return frames


def _turn_about_y(parent: FloatArray, child: FloatArray, cos: FloatArray, sin: FloatArray, offset_m: float) -> None:
    """Fill ``child`` (4, 3, B): the parent's frame moved ``offset_m`` along x and turned about its y axis."""
    x, y, z, origin = parent
    np.subtract(cos * x, sin * z, out=child[X])
    child[Y] = y
    np.add(sin * x, cos * z, out=child[Z])
    np.add(origin, offset_m * x, out=child[ORIGIN])


def _turn_about_x(parent: FloatArray, child: FloatArray, cos: FloatArray, sin: FloatArray, offset_m: float) -> None:
    """Fill ``child`` (4, 3, B): the parent's frame moved ``offset_m`` along x and turned about its x axis."""
    x, y, z, origin = parent
    child[X] = x
    np.add(cos * y, sin * z, out=child[Y])
    np.subtract(cos * z, sin * y, out=child[Z])
    np.add(origin, offset_m * x, out=child[ORIGIN])
