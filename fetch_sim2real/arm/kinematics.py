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
from numpy.typing import NDArray

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
    sines = np.sin(position)
    factors = np.concatenate([np.cos(position), sines, -sines, _CONSTANTS.repeat(len(position), axis=0)], axis=1)
    # Every link's rotation from the link before, then one after the other from base_link.
    rotations = (factors.take(_FIRST, axis=1) * factors.take(_SECOND, axis=1)).reshape(-1, 3, 4, 3)
    for link in (UPPERARM_ROLL, FOREARM_ROLL, WRIST_ROLL):
        rotations[:, :, link] = rotations[:, :, link - 1] @ rotations[:, :, link]
    return rotations


# Columns of ``factors`` above: seven cosines, seven sines, seven negative sines, zero, one.
_ZERO, _ONE = 21, 22
_CONSTANTS: Final = np.array([[0.0, 1.0]])


def _turn_factors() -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Which two factors make each entry of a turn, (36,) each, in the order of ``chain_rotations``."""
    factors = np.empty((3, 4, 3, 2), dtype=np.intp)
    cos, sin, minus_sin = 0, 7, 14
    factors[:, PAN] = [
        [(cos, _ONE), (minus_sin, _ONE), (_ZERO, _ONE)],
        [(sin, _ONE), (cos, _ONE), (_ZERO, _ONE)],
        [(_ZERO, _ONE), (_ZERO, _ONE), (_ONE, _ONE)],
    ]
    # A flex about y and the roll about x that follows it, as one rotation.
    for link in (UPPERARM_ROLL, FOREARM_ROLL, WRIST_ROLL):
        flex, roll = 2 * link - 1, 2 * link
        factors[:, link] = [
            [(cos + flex, _ONE), (sin + flex, sin + roll), (sin + flex, cos + roll)],
            [(_ZERO, _ONE), (cos + roll, _ONE), (minus_sin + roll, _ONE)],
            [(minus_sin + flex, _ONE), (cos + flex, sin + roll), (cos + flex, cos + roll)],
        ]
    return factors[..., 0].ravel(), factors[..., 1].ravel()


_FIRST, _SECOND = _turn_factors()


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


def joint_coefficients() -> tuple[FloatArray, FloatArray]:
    """Coefficients (12, 7) of the joints' axes, and (12, 7) of their origins relative to ``shoulder_pan_origin_m``."""
    origins, axes = link_coefficients()
    own = (Z, *(Y if link in FLEX_LINKS else X for link in range(1, 7)))
    return (
        np.array([axes[link, axis] for link, axis in enumerate(own)]).reshape(7, 12).T,
        origins[:7].reshape(7, 12).T,
    )


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


def grip_jacobian(position: FloatArray) -> FloatArray:
    """How the grip site moves [m/rad] and turns [rad/rad] in ``base_link``, (..., 6, 7), at joint angles (..., 7).

    Each configuration is computed by itself, so that its numbers do not depend on the others.
    """
    position = np.asarray(position, dtype=np.float64)
    shape = position.shape[:-1]
    chain = chain_rotations(position.reshape(-1, 7)).reshape(-1, 3, 12)
    points = chain @ _JACOBIAN_COEFFICIENTS
    axes, arms = points[..., :7], points[..., 14:] - points[..., 7:14]
    jacobian = np.concatenate([np.cross(axes, arms, axis=1), axes], axis=1)
    return np.asarray(jacobian.reshape(*shape, 6, 7))


_JACOBIAN_COEFFICIENTS: Final = np.hstack([*joint_coefficients(), _GRIP.reshape(12, 1)])
