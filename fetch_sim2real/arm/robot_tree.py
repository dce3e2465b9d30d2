"""The robot as a tree of links and joints, for tools that draw it: one source of its URDF and of its frames.

Joints and fixed links of the arm are those of its ``ArmSpec``; everything else, masses and shapes included, is that of
its MuJoCo model. Lengths in metres, angles in radians; roll, pitch and yaw as in URDF.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

import numpy as np
from scipy.spatial.transform import Rotation

from fetch_sim2real.arm.bodies import ArmBody, arm_bodies
from fetch_sim2real.arm.mjcf import GRIP_SITE, MeshFile, mesh_files, source_of
from fetch_sim2real.arm.spec import ArmSpec, LinkSphere, Point
from fetch_sim2real.types import FloatArray

_ORIGIN: Final[Point] = (0.0, 0.0, 0.0)
_Z: Final[Point] = (0.0, 0.0, 1.0)

JointKind = Literal["fixed", "revolute", "continuous", "prismatic"]


@dataclass(frozen=True, eq=False)
class LinkPicture:
    """What a link looks like: a mesh, or a box of half extents (3,) at a place in the link; its colour (3,) in 0..1."""

    shape: MeshFile | FloatArray
    position_m: Point
    rpy_rad: Point
    rgb: FloatArray


@dataclass(frozen=True, eq=False)
class TreeLink:
    """A link. ``mass_kg`` is 0 for a frame alone; ``inertia_kg_m2`` (3, 3) is about the centre of mass.

    ``spheres`` are what the safety filter keeps clear of things.
    """

    name: str
    mass_kg: float
    center_of_mass_m: FloatArray
    inertia_kg_m2: FloatArray
    pictures: tuple[LinkPicture, ...]
    spheres: tuple[LinkSphere, ...]


@dataclass(frozen=True)
class TreeJoint:
    """A joint between two links; positions, limits and speed [rad, rad/s] or, of a prismatic one, [m, m/s].

    ``effort`` [Nm or N] and ``velocity`` are 0 where they are not known: of a joint that nothing here moves.
    """

    name: str
    kind: JointKind
    parent: str
    child: str
    origin_m: Point
    rpy_rad: Point = _ORIGIN
    axis: Point = _Z
    lower: float = 0.0
    upper: float = 0.0
    velocity: float = 0.0
    effort: float = 0.0


@dataclass(frozen=True, eq=False)
class LinkFrame:
    """Where a link is in its parent: position (3,) [m] and orientation (4,) as xyzw."""

    parent: str
    child: str
    position_m: FloatArray
    quaternion_xyzw: FloatArray


@dataclass(frozen=True, eq=False)
class RobotTree:
    """Links, the base first, and joints, each after the one that moves its parent."""

    name: str
    links: tuple[TreeLink, ...]
    joints: tuple[TreeJoint, ...]

    def fixed_frames(self) -> tuple[LinkFrame, ...]:
        """Return the frames that no joint moves."""
        return tuple(_frame(joint, 0.0) for joint in self.joints if joint.kind == "fixed")

    def moving_frames(self, positions: Mapping[str, float]) -> tuple[LinkFrame, ...]:
        """Return the frames of the joints in ``positions`` [rad or m], by name; others and unknown ones are left out.

        A position that is not finite counts as none.
        """
        return tuple(
            _frame(joint, positions[joint.name])
            for joint in self.joints
            if joint.kind != "fixed" and np.isfinite(positions.get(joint.name, np.nan))
        )


@cache
def robot_tree(arm: ArmSpec) -> RobotTree:
    """Return the tree of ``arm``; RobotModelError for an arm without a MuJoCo model.

    Joints that the model has not, such as those of a head, are fixed at zero. The grip site is a link.
    """
    # The torso's link is in the model where the torso's height puts it: at its joint's zero here.
    bodies = arm_bodies(arm, 0.0)
    files = mesh_files(arm)
    links = [_link(body, arm, files) for body in bodies]
    named = _joints_of(arm)
    joints = [named.get(body.name) or _joint_of(body, arm) for body in bodies if body.parent is not None]
    links.append(TreeLink(GRIP_SITE, 0.0, np.zeros(3), np.zeros((3, 3)), (), ()))
    joints.append(TreeJoint(f"{GRIP_SITE}_fixed", "fixed", arm.tool.link, GRIP_SITE, arm.tool.offset_m))
    return RobotTree(arm.name, tuple(links), tuple(joints))


def _joints_of(arm: ArmSpec) -> dict[str, TreeJoint]:
    """The arm's own joints, by the links that they move."""
    torso_link = source_of(arm).torso_body if arm.torso else source_of(arm).root_body
    parents = (torso_link, *(joint.link for joint in arm.joints))
    chain = [
        TreeJoint(
            joint.name, "continuous" if joint.is_continuous else "revolute", parent, joint.link, joint.origin_m,
            joint.origin_rpy_rad, joint.axis, joint.lower_rad, joint.upper_rad, joint.velocity_rad_s, joint.effort_nm,
        )
        for joint, parent in zip(arm.joints, parents, strict=False)
    ]  # fmt: skip
    fixed = [
        TreeJoint(f"{link.name}_fixed", "fixed", link.parent, link.name, link.origin_m, link.origin_rpy_rad)
        for link in arm.fixed_links
    ]
    torso = []
    if arm.torso:
        low_m, high_m = arm.torso.range_m
        root = source_of(arm).root_body
        torso = [
            TreeJoint(arm.torso.joint, "prismatic", root, torso_link, arm.torso.origin_m, lower=low_m, upper=high_m)
        ]
    return {joint.child: joint for joint in (*torso, *chain, *fixed)}


def _joint_of(body: ArmBody, arm: ArmSpec) -> TreeJoint:
    """The joint of a body that ``ArmSpec`` does not place: fingers, and what hangs on the robot rigidly."""
    origin_m, rpy_rad = _point(body.position_m), _rpy(body.quaternion_wxyz)
    parent = str(body.parent)
    joint = body.joint
    if joint is None or joint.range_ is None:
        return TreeJoint(f"{body.name}_fixed", "fixed", parent, body.name, origin_m, rpy_rad)
    low, high = joint.range_
    is_finger = joint.name in arm.gripper_joints
    return TreeJoint(
        joint.name, joint.kind, parent, body.name, origin_m, rpy_rad, _point(joint.axis), low, high,
        arm.finger_max_m / arm.finger_travel_s if is_finger else 0.0, arm.finger_force_n if is_finger else 0.0,
    )  # fmt: skip


def _link(body: ArmBody, arm: ArmSpec, files: Mapping[str, MeshFile]) -> TreeLink:
    pictures = []
    for shape in body.shapes:
        file = files.get(shape.name)
        if file is not None:
            place = (_point(file.position_m), _rpy(file.quaternion_wxyz))
            pictures.append(LinkPicture(file, *place, shape.rgb))
        elif isinstance(shape.shape, np.ndarray):
            pictures.append(LinkPicture(shape.shape, _point(shape.position_m), _rpy(shape.quaternion_wxyz), shape.rgb))
    spheres = tuple(sphere for sphere in arm.shapes.spheres if sphere.link == body.name)
    return TreeLink(body.name, body.mass_kg, body.center_of_mass_m, body.inertia_kg_m2, tuple(pictures), spheres)


def _frame(joint: TreeJoint, position: float) -> LinkFrame:
    axis = np.array(joint.axis)
    mount = Rotation.from_euler("xyz", joint.rpy_rad)
    if joint.kind in ("fixed", "prismatic"):
        way_m = mount.apply(position * axis)
        return LinkFrame(joint.parent, joint.child, np.array(joint.origin_m) + way_m, mount.as_quat())
    turned = mount * Rotation.from_rotvec(position * axis)
    return LinkFrame(joint.parent, joint.child, np.array(joint.origin_m), turned.as_quat())


def _rpy(quaternion_wxyz: FloatArray) -> Point:
    return _point(Rotation.from_quat(np.roll(quaternion_wxyz, -1)).as_euler("xyz"))


def _point(values: FloatArray) -> Point:
    x, y, z = (float(value) for value in values)
    return (x, y, z)
