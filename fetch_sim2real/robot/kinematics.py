"""Forward kinematics of the Fetch's arm, vectorised over configurations.

All positions are in ``base_link`` [m]. Zero angles stretch the arm along the x axis with each link's frame parallel to
``base_link``. The chain is a shoulder pan about z and then three times a flex about y followed by a roll about x, all
joints after the shoulder lift lying on the x axis of the link before. So four rotations say everything: those of the
pan link and of the three roll links. Every point of the arm is a fixed linear combination of their axes.
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
FLEX_LINKS: Final = (1, 3, 5)  # indices in ARM_LINKS

# Link origins in the frame of the link before (Fetch's MJCF, the same numbers as fetch.urdf), in metres.
TORSO_ORIGIN_M: Final = (-0.0869, 0.0, 0.3774)  # torso_lift_link in base_link, torso down
SHOULDER_PAN_IN_TORSO_M: Final = (0.1195, 0.0, 0.3486)
SHOULDER_LIFT_M: Final = (0.117, 0.0, 0.06)
UPPERARM_ROLL_X_M: Final = 0.219
ELBOW_FLEX_X_M: Final = 0.133
FOREARM_ROLL_X_M: Final = 0.197
WRIST_FLEX_X_M: Final = 0.1245
WRIST_ROLL_X_M: Final = 0.1385
GRIPPER_X_M: Final = 0.1664
GRIP_SITE_X_M: Final = 0.02  # the point between the fingertips, in gripper_link

# Order of ``chain_rotations``, and the axes (columns) of a rotation.
PAN, UPPERARM_ROLL, FOREARM_ROLL, WRIST_ROLL = range(4)
X, Y, Z = range(3)


@dataclass(frozen=True)
class ArmPose:
    """Frames of ``ARM_LINKS`` and the grip site in ``base_link``.

    ``rotation`` (..., 8, 3, 3) has the link's axes as columns; ``position`` (..., 8, 3) and ``grip`` (..., 3) in
    metres.
    """

    rotation: FloatArray
    position: FloatArray
    grip: FloatArray


def shoulder_pan_origin_m(torso_height_m: float) -> FloatArray:
    """Origin (3,) of shoulder_pan_link: the one point of the arm that no joint moves."""
    return np.array([TORSO_ORIGIN_M, SHOULDER_PAN_IN_TORSO_M, (0.0, 0.0, torso_height_m)]).sum(axis=0)


def chain_rotations(position: FloatArray) -> FloatArray:
    """Rotations of the pan link and the three roll links for joint angles (B, 7) [rad].

    Returned as (B, 3, 4, 3): base_link component, link (``PAN`` ... ``WRIST_ROLL``), axis of that link. In this order
    a point of the arm is one product of (B * 3, 12) with its twelve coefficients.
    """
    cos, sin = np.cos(position), np.sin(position)
    rotations = np.zeros((position.shape[0], 3, 4, 3))
    pan = rotations[:, :, PAN]
    pan[:, 0, X] = pan[:, 1, Y] = cos[:, 0]
    pan[:, 1, X] = sin[:, 0]
    pan[:, 0, Y] = -sin[:, 0]
    pan[:, 2, Z] = 1.0
    # A flex about y and the roll about x that follows it, as one rotation: three of them at once.
    flex_cos, flex_sin, roll_cos, roll_sin = cos[:, 1::2], sin[:, 1::2], cos[:, 2::2], sin[:, 2::2]
    turn = np.zeros((position.shape[0], 3, 3, 3))
    turn[:, :, 0, X] = flex_cos
    turn[:, :, 2, X] = -flex_sin
    turn[:, :, 0, Y] = flex_sin * roll_sin
    turn[:, :, 1, Y] = roll_cos
    turn[:, :, 2, Y] = flex_cos * roll_sin
    turn[:, :, 0, Z] = flex_sin * roll_cos
    turn[:, :, 1, Z] = -roll_sin
    turn[:, :, 2, Z] = flex_cos * roll_cos
    for link in (UPPERARM_ROLL, FOREARM_ROLL, WRIST_ROLL):
        rotations[:, :, link] = rotations[:, :, link - 1] @ turn[:, link - 1]
    return rotations


def link_coefficients() -> tuple[FloatArray, FloatArray]:
    """How the links' frames follow from ``chain_rotations``.

    Returns the origins' coefficients (8, 4, 3), relative to ``shoulder_pan_origin_m``, and which rotation and axis
    each link's own axes are: (8, 3, 4, 3). The z axis of a flex link is none of the twelve: its row is zero.
    """
    axes = np.zeros((8, 3, 4, 3))
    axes[0, :, PAN] = np.eye(3)
    for roll, link in ((UPPERARM_ROLL, 2), (FOREARM_ROLL, 4), (WRIST_ROLL, 6)):
        axes[link, :, roll] = np.eye(3)
        # The roll leaves the flex link's x axis, and the flex left the y axis of the link before.
        axes[link - 1, X, roll, X] = 1.0
        axes[link - 1, Y, roll - 1, Y] = 1.0
    axes[7] = axes[6]
    origins = np.zeros((8, 4, 3))
    origins[1] = np.tensordot(SHOULDER_LIFT_M, axes[0], 1)
    along_x_m = (UPPERARM_ROLL_X_M, ELBOW_FLEX_X_M, FOREARM_ROLL_X_M, WRIST_FLEX_X_M, WRIST_ROLL_X_M, GRIPPER_X_M)
    for link, offset_m in enumerate(along_x_m, start=2):
        origins[link] = origins[link - 1] + offset_m * axes[link - 1, X]
    return origins, axes


_ORIGINS, _AXES = link_coefficients()
_GRIP = _ORIGINS[7] + GRIP_SITE_X_M * _AXES[7, X]


def forward_kinematics(position: FloatArray, torso_height_m: float) -> ArmPose:
    """Poses of the arm's links for joint angles (..., 7) [rad] and the torso's lift [m]."""
    position = np.asarray(position, dtype=np.float64)
    shape = position.shape[:-1]
    chain = chain_rotations(position.reshape(-1, 7)).reshape(-1, 3, 12)
    start = shoulder_pan_origin_m(torso_height_m)
    rotation = np.moveaxis((chain @ _AXES.reshape(24, 12).T).reshape(-1, 3, 8, 3), 1, 2)
    flex = rotation[:, 1:6:2]
    flex[..., Z] = np.cross(flex[..., X], flex[..., Y])
    return ArmPose(
        rotation.reshape(*shape, 8, 3, 3),
        (np.swapaxes(chain @ _ORIGINS.reshape(8, 12).T, 1, 2) + start).reshape(*shape, 8, 3),
        (chain @ _GRIP.reshape(12) + start).reshape(*shape, 3),
    )


def grip_position(position: FloatArray, torso_height_m: float) -> FloatArray:
    """Position (..., 3) [m] in ``base_link`` of the grip site, for joint angles (..., 7) [rad]."""
    position = np.asarray(position, dtype=np.float64)
    chain = chain_rotations(position.reshape(-1, 7)).reshape(-1, 3, 12)
    grip = chain @ _GRIP.reshape(12) + shoulder_pan_origin_m(torso_height_m)
    return np.asarray(grip.reshape(*position.shape[:-1], 3))
