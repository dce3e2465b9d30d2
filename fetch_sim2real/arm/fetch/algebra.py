"""A faster algebra of the Fetch's arm than that of any chain.

Zero angles stretch the arm along the x axis with each link's frame parallel to ``base_link``. The chain is a shoulder
pan about z and then three times a flex about y followed by a roll about x, all joints after the shoulder lift lying on
the x axis of the link before. So four rotations say everything: those of the pan link and of the three roll links.
Every point of the arm is a fixed linear combination of their axes.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.types import FloatArray

# Link origins in the frame of the link before (Fetch's MJCF, the same numbers as fetch.urdf), in metres.
SHOULDER_LIFT_M: Final = (0.117, 0.0, 0.06)
UPPERARM_ROLL_X_M: Final = 0.219
ELBOW_FLEX_X_M: Final = 0.133
FOREARM_ROLL_X_M: Final = 0.197
WRIST_FLEX_X_M: Final = 0.1245
WRIST_ROLL_X_M: Final = 0.1385
GRIPPER_X_M: Final = 0.1664
ALONG_X_M: Final = (
    UPPERARM_ROLL_X_M, ELBOW_FLEX_X_M, FOREARM_ROLL_X_M, WRIST_FLEX_X_M, WRIST_ROLL_X_M, GRIPPER_X_M,
)  # fmt: skip
_FLEX_LINKS: Final = (1, 3, 5)  # in the chain's order; the gripper's link comes last, after the seven of the joints

# Order of ``chain_rotations``, and the axes (columns) of a rotation.
PAN, UPPERARM_ROLL, FOREARM_ROLL, WRIST_ROLL = range(4)
X, Y = range(2)


class FetchAlgebra:
    """See ``ChainAlgebra``. The z axis of a flex link is none of the twelve numbers per coordinate."""

    links_without_z = _FLEX_LINKS

    def features(self, position: FloatArray) -> FloatArray:
        """Return the numbers (B, 3, 12) for joint angles (B, 7) [rad]."""
        return chain_rotations(position).reshape(-1, 3, 12)

    def link_coefficients(self) -> tuple[FloatArray, FloatArray]:
        """Return those of the links' origins (8, 12) and of their axes (8, 3, 12)."""
        origins, axes = _link_coefficients()
        return origins.reshape(8, 12), axes.reshape(8, 3, 12)


def chain_rotations(position: FloatArray) -> FloatArray:
    """Return rotations of the pan link and the three roll links for joint angles (B, 7) [rad].

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


def _link_coefficients() -> tuple[FloatArray, FloatArray]:
    """How the links' frames follow from ``chain_rotations``.

    Returns the origins' coefficients (8, 4, 3), relative to the pan link's, and which rotation and axis
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
    for link, offset_m in enumerate(ALONG_X_M, start=2):
        origins[link] = origins[link - 1] + offset_m * axes[link - 1, X]
    return origins, axes
