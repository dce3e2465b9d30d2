"""Forward kinematics of an arm, vectorised over configurations.

All positions are in ``base_link`` [m]. Every point of the arm is a linear combination, with fixed coefficients, of a
few numbers that follow from the joint angles (``ChainAlgebra``): of the axes of every joint's link in general, of fewer
where an arm brings a faster algebra of its own. So many points of many configurations are one matrix product.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.spec import ArmSpec, ChainAlgebra, Point
from fetch_sim2real.errors import RobotModelError
from fetch_sim2real.types import FloatArray

_X, _Y, _Z = range(3)


@dataclass(frozen=True)
class ArmPose:
    """Frames of ``ArmSpec.links`` (L of them) and the grip site in ``base_link``.

    ``rotation`` (..., L, 3, 3) has the link's axes as columns; ``position`` (..., L, 3) and ``grip`` (..., 3) in
    metres.
    """

    rotation: FloatArray
    position: FloatArray
    grip: FloatArray


class ChainKinematics:
    """The algebra of any chain of revolute joints: the numbers are the axes of every joint's link, F = 3 n."""

    links_without_z: tuple[int, ...] = ()

    def __init__(self, arm: ArmSpec) -> None:
        self._arm = arm
        self._mounts = [_rotation_of_rpy(joint.origin_rpy_rad) for joint in arm.joints]
        crosses = np.array([_cross_matrix(joint.axis) for joint in arm.joints])
        self._crosses, self._squares = crosses, crosses @ crosses

    def features(self, position: FloatArray) -> FloatArray:
        """Return the links' axes (B, 3, 3 n) for joint angles (B, n) [rad]: coordinate, then link and axis."""
        count, joints = position.shape
        sines, versines = np.sin(position)[..., None, None], (1.0 - np.cos(position))[..., None, None]
        turns = np.eye(3) + sines * self._crosses + versines * self._squares
        axes = np.empty((count, 3, joints, 3))
        rotation: FloatArray | None = None
        for joint, mount in enumerate(self._mounts):
            before = mount if rotation is None else rotation @ mount
            rotation = before @ turns[:, joint]
            axes[:, :, joint] = rotation
        return axes.reshape(count, 3, 3 * joints)

    def link_coefficients(self) -> tuple[FloatArray, FloatArray]:
        """Return those of the links' origins (L, 3 n), relative to the first joint's, and of their axes (L, 3, 3 n)."""
        arm, joints = self._arm, self._arm.joint_count
        origins, axes = np.zeros((len(arm.links), 3 * joints)), np.zeros((len(arm.links), 3, 3 * joints))
        for link, joint in enumerate(arm.joints):
            axes[link, :, 3 * link : 3 * link + 3] = np.eye(3)
            if link:
                origins[link] = origins[link - 1] + np.tensordot(joint.origin_m, axes[link - 1], 1)
        for link, fixed in enumerate(arm.fixed_links, start=joints):
            parent = arm.links.index(fixed.parent)
            origins[link] = origins[parent] + np.tensordot(fixed.origin_m, axes[parent], 1)
            axes[link] = np.tensordot(_rotation_of_rpy(fixed.origin_rpy_rad).T, axes[parent], 1)
        return origins, axes


class Kinematics:
    """Poses and derivatives of one arm. Immutable."""

    def __init__(self, arm: ArmSpec, algebra: ChainAlgebra | None = None) -> None:
        """``algebra``: the arm's own if left out, or else that of any chain."""
        self.arm = arm
        self._algebra = algebra or (arm.algebra() if arm.algebra else ChainKinematics(arm))
        self._origins, self._axes = self._algebra.link_coefficients()
        self._without_z = list(self._algebra.links_without_z)
        self.size = self._origins.shape[1]
        joints = arm.joint_count
        axes = [np.tensordot(joint.axis, self._axes[link], 1) for link, joint in enumerate(arm.joints)]
        self.joint_axes = np.ascontiguousarray(np.array(axes).T)
        """Coefficients (F, n) of the joints' axes."""
        self.joint_origins = np.ascontiguousarray(self._origins[:joints].T)
        """Coefficients (F, n) of the joints' origins relative to the first joint's."""
        self.grip = self.point(arm.tool.link, arm.tool.offset_m)
        """Coefficients (F,) of the grip site."""
        self._of_jacobian = np.hstack([self.joint_axes, self.joint_origins, self.grip[:, None]])

    def features(self, position: FloatArray) -> FloatArray:
        """Return the numbers (B, 3, F) that coefficients are multiplied with, for joint angles (B, n) [rad]."""
        return self._algebra.features(position)

    def point(self, link: str, offset_m: Point) -> FloatArray:
        """Return the coefficients (F,) of a point, at (3,) [m] in the link's frame, relative to the first joint."""
        index = self.arm.links.index(link)
        if index in self._without_z and offset_m[_Z] != 0.0:
            raise RobotModelError(
                f"arm '{self.arm.name}': a point {offset_m} m of {link} is off its xy plane, and its algebra has no z "
                "axis of that link: move the point to another link, or leave the algebra out"
            )
        return np.asarray(self._origins[index] + np.tensordot(offset_m, self._axes[index], 1))

    def moving_joints(self, link: str) -> FloatArray:
        """Return 1 (n,) for each joint that moves the link, 0 for each that does not."""
        index = self.arm.links.index(link)
        while index >= self.arm.joint_count:
            index = self.arm.links.index(self.arm.fixed_links[index - self.arm.joint_count].parent)
        return (np.arange(self.arm.joint_count) <= index).astype(np.float64)

    def forward(self, position: FloatArray, torso_height_m: float) -> ArmPose:
        """Return the poses of the arm's links for joint angles (..., n) [rad] and the torso's lift [m]."""
        chain, shape = self._chain(position)
        links = len(self.arm.links)
        start = self.arm.first_joint_m(torso_height_m)
        products = chain @ self._axes.reshape(3 * links, -1).T
        rotation = np.moveaxis(products.reshape(-1, 3, links, 3), 1, 2)
        if self._without_z:
            rotation[:, self._without_z, :, _Z] = np.cross(
                rotation[:, self._without_z, :, _X], rotation[:, self._without_z, :, _Y]
            )
        return ArmPose(
            rotation.reshape(*shape, links, 3, 3),
            (np.swapaxes(chain @ self._origins.T, 1, 2) + start).reshape(*shape, links, 3),
            (chain @ self.grip + start).reshape(*shape, 3),
        )

    def grip_position(self, position: FloatArray, torso_height_m: float) -> FloatArray:
        """Return the position (..., 3) [m] in ``base_link`` of the grip site, for joint angles (..., n) [rad]."""
        chain, shape = self._chain(position)
        grip = chain @ self.grip + self.arm.first_joint_m(torso_height_m)
        return np.asarray(grip.reshape(*shape, 3))

    def grip_jacobian(self, position: FloatArray) -> FloatArray:
        """Return how the grip site moves [m/rad] and turns [rad/rad] in ``base_link``, (..., 6, n).

        Each configuration (..., n) is computed by itself, so that its numbers do not depend on the others.
        """
        chain, shape = self._chain(position)
        joints = self.arm.joint_count
        points = chain @ self._of_jacobian
        axes, arms = points[..., :joints], points[..., 2 * joints :] - points[..., joints : 2 * joints]
        jacobian = np.concatenate([np.cross(axes, arms, axis=1), axes], axis=1)
        return np.asarray(jacobian.reshape(*shape, 6, joints))

    def _chain(self, position: FloatArray) -> tuple[FloatArray, tuple[int, ...]]:
        position = np.asarray(position, dtype=np.float64)
        return self._algebra.features(position.reshape(-1, self.arm.joint_count)), position.shape[:-1]


@cache
def kinematics_of(arm: ArmSpec) -> Kinematics:
    """Return the kinematics of ``arm``, made once."""
    return Kinematics(arm)


def forward_kinematics(position: FloatArray, torso_height_m: float, arm: ArmSpec = ARM) -> ArmPose:
    """Return the poses of the arm's links for joint angles (..., n) [rad] and the torso's lift [m]."""
    return kinematics_of(arm).forward(position, torso_height_m)


def grip_position(position: FloatArray, torso_height_m: float, arm: ArmSpec = ARM) -> FloatArray:
    """Return the position (..., 3) [m] in ``base_link`` of the grip site, for joint angles (..., n) [rad]."""
    return kinematics_of(arm).grip_position(position, torso_height_m)


def _cross_matrix(axis: Point) -> FloatArray:
    x, y, z = axis
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])


def _rotation_of_rpy(rpy_rad: Point) -> FloatArray:
    """Return the rotation (3, 3) of roll, pitch and yaw about fixed axes, in this order."""
    (cr, cp, cy), (sr, sp, sy) = np.cos(rpy_rad), np.sin(rpy_rad)
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )
