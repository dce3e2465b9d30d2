"""An arm as data: joints, chain, limits, tool, gripper, torso, collision shapes and the simulation's model.

``arm/fetch`` holds the Fetch's. Everything else takes an ``ArmSpec``, so that the number of joints, their names and
what the robot is made of stand in one place. Lengths in metres, angles in radians; frames are the robot's own base
frame, ``base_link``, unless said otherwise. An arm without a gripper or a torso leaves them out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Protocol

import numpy as np

from fetch_sim2real.errors import RobotModelError
from fetch_sim2real.types import FloatArray

Point = tuple[float, float, float]
_ORIGIN: Final[Point] = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class JointSpec:
    """A revolute joint: where it sits in the chain, and what the hardware allows.

    ``origin_m`` and ``origin_rpy_rad`` put the joint's frame into the frame of the link before (URDF's convention: roll
    about x, then pitch about y, then yaw about z, all of the fixed axes); it turns about ``axis``, of length 1, and
    moves ``link``. A joint that ``is_continuous`` has no stop: its limits bound what is commanded.
    """

    name: str
    link: str
    origin_m: Point
    axis: Point
    lower_rad: float
    upper_rad: float
    velocity_rad_s: float
    effort_nm: float
    is_continuous: bool = False
    origin_rpy_rad: Point = _ORIGIN


@dataclass(frozen=True)
class FixedLink:
    """A link that hangs on another one without a joint."""

    name: str
    parent: str
    origin_m: Point
    origin_rpy_rad: Point = _ORIGIN


@dataclass(frozen=True)
class ToolFrame:
    """The grip site: the point that is moved, in a link's frame; and how it is turned while it works.

    ``working_rotation`` is a matrix, its columns the axes of the link's frame in the base frame: the tool is kept
    turned so while the grip site moves.
    """

    link: str
    offset_m: Point
    working_rotation: tuple[Point, Point, Point]


@dataclass(frozen=True)
class GripperSpec:
    """A parallel gripper: both fingers open by the same way, from 0 to ``finger_max_m`` each."""

    joints: tuple[str, ...]
    finger_max_m: float
    finger_force_n: float
    travel_s: float
    """How long a finger takes for its whole way."""


@dataclass(frozen=True)
class TorsoSpec:
    """A lift below the arm, along z: it stands still while the arm moves. ``origin_m`` is its link, lowered fully."""

    joint: str
    range_m: tuple[float, float]
    origin_m: Point


@dataclass(frozen=True)
class AccelerationProfile:
    """A named choice of accelerations [rad/s^2], one per joint."""

    name: str
    acceleration_rad_s2: tuple[float, ...]


@dataclass(frozen=True)
class LinkSphere:
    """A sphere fixed in a link: centre in the link's frame and radius, in metres."""

    link: str
    center_m: Point
    radius_m: float


@dataclass(frozen=True)
class Box:
    """An axis-aligned box in ``base_link`` [m]."""

    name: str
    lower_m: Point
    upper_m: Point


@dataclass(frozen=True)
class BodyBox:
    """A box around a part of the robot that the arm does not move.

    Of corners that the torso lifts, z counts from the torso's link.
    """

    name: str
    lower_m: Point
    upper_m: Point
    lifts_lower: bool = False
    lifts_upper: bool = False


@dataclass(frozen=True)
class CollisionShapes:
    """Spheres of the moving links, boxes of the rest of the robot, and which of them can meet.

    ``table_spheres`` and ``body_spheres`` are indices in ``spheres`` of those that are kept clear of tables and of the
    body; ``self_pairs`` of those that are kept clear of each other.
    """

    spheres: tuple[LinkSphere, ...]
    table_spheres: tuple[int, ...]
    body_spheres: tuple[int, ...]
    self_pairs: tuple[tuple[int, int], ...]
    body: tuple[BodyBox, ...] = ()


@dataclass(frozen=True, eq=False)
class ServoGains:
    """Position servos of the arm, each (n,): stiffness [Nm/rad], servo damping [Nm s/rad], joint damping, armature.

    ``kv`` acts on the velocity error (the servo follows the reference's velocity), ``damping`` and ``armature`` are the
    joint's own: friction of the gear and reflected rotor inertia.
    """

    kp: FloatArray
    kv: FloatArray
    damping: FloatArray
    armature: FloatArray


@dataclass(frozen=True)
class FingerServo:
    """Servo, own damping and armature [kg] of each finger's joint, and the finger's mass and moments of inertia."""

    kp: float
    kv: float
    damping: float
    armature_kg: float
    mass_kg: float
    inertia_kg_m2: Point


@dataclass(frozen=True, eq=False)
class MjcfSource:
    """Where the arm's MuJoCo model comes from, and what is made of it.

    The file is ``path`` inside of the Python package ``package``; ``requirement`` is what to install for it. Names in
    it begin with ``prefix``. Of the robot at ``root_body``, ``removed_bodies`` and ``removed_joints`` are taken out
    (those joints stay at zero), and the torso's body is put to its height. ``colliding_geoms`` can touch the scene;
    ``hidden_geoms`` are not drawn: too detailed for what a camera sees of them.
    """

    package: str
    requirement: str
    path: tuple[str, ...]
    prefix: str
    root_body: str
    gains: ServoGains
    torso_body: str = ""
    removed_bodies: tuple[str, ...] = ()
    removed_joints: tuple[str, ...] = ()
    colliding_geoms: tuple[str, ...] = ()
    hidden_geoms: tuple[str, ...] = ()
    fingers: FingerServo | None = None


class ChainAlgebra(Protocol):
    """How points of the arm follow from its joint angles, as linear combinations of F numbers per coordinate."""

    @property
    def links_without_z(self) -> tuple[int, ...]:
        """Indices of links whose z axis is none of the combinations: it is the cross product of the other two."""

    def features(self, position: FloatArray) -> FloatArray:
        """Return the numbers (B, 3, F), base_link's coordinates second, for joint angles (B, n) [rad]."""

    def link_coefficients(self) -> tuple[FloatArray, FloatArray]:
        """Return those (L, F) of the links' origins, relative to the first joint's, and (L, 3, F) of their axes.

        Links are in the order of ``ArmSpec.links``.
        """


@dataclass(frozen=True, eq=False)
class ArmSpec:
    """An arm of n joints. Everything in the joints' order is in the order of ``joints``, from the base outwards.

    Attributes:
        name: what the arm is called in files and messages.
        joints: the chain.
        fixed_links: links that hang on the chain's, each after its parent.
        tool: the grip site.
        home_rad: posture (n,) that the redundancy is drawn to; the tool is in its working rotation there.
        profiles: accelerations by name, slowest first; ``default_profile`` names one.
        velocity_share: share of the rated velocity that is commanded at most.
        position_margin_rad: how far short of the stops commands end.
        tracking_error_rad: commanded minus measured (n,) that stops the arm.
        reach_m: (n,), no point of arm and hand is farther from each joint's axis.
        base_reach_m: how far the tool gets from the base's own vertical axis.
        shapes: for collision checks.
        mjcf: for simulation and inverse kinematics.
        gripper: None for an arm without one.
        torso: None where the arm stands still.
        algebra: makes a faster equivalent of the generic kinematics, which it is tested against.
    """

    name: str
    joints: tuple[JointSpec, ...]
    fixed_links: tuple[FixedLink, ...]
    tool: ToolFrame
    home_rad: FloatArray
    profiles: tuple[AccelerationProfile, ...]
    default_profile: str
    tracking_error_rad: tuple[float, ...]
    reach_m: tuple[float, ...]
    base_reach_m: float
    shapes: CollisionShapes
    mjcf: MjcfSource | None = None
    gripper: GripperSpec | None = None
    torso: TorsoSpec | None = None
    velocity_share: float = 0.9
    position_margin_rad: float = 0.02
    algebra: Callable[[], ChainAlgebra] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        n = len(self.joints)
        sizes = {
            "home_rad": len(self.home_rad),
            "tracking_error_rad": len(self.tracking_error_rad),
            "reach_m": len(self.reach_m),
            **{f"profile {profile.name}": len(profile.acceleration_rad_s2) for profile in self.profiles},
        }
        for name, size in sizes.items():
            if size != n:
                raise RobotModelError(f"arm '{self.name}': {name} has {size} values, expected {n}, one for each joint")
        for link in (self.tool.link, *(sphere.link for sphere in self.shapes.spheres)):
            if link not in self.links:
                raise RobotModelError(f"arm '{self.name}': link '{link}' is unknown, expected one of {self.links}")
        names = [profile.name for profile in self.profiles]
        if self.default_profile not in names:
            raise RobotModelError(
                f"arm '{self.name}': default profile '{self.default_profile}' is unknown, expected one of {names}"
            )

    @property
    def joint_count(self) -> int:
        """The number n of joints of the arm itself."""
        return len(self.joints)

    @cached_property
    def joint_names(self) -> tuple[str, ...]:
        """Names (n,) of the arm's joints."""
        return tuple(joint.name for joint in self.joints)

    @cached_property
    def command_joints(self) -> tuple[str, ...]:
        """Joints of the arm, and after them those of the gripper."""
        return self.joint_names + self.gripper_joints

    @cached_property
    def links(self) -> tuple[str, ...]:
        """The links that move: those of the joints, and after them the fixed ones."""
        return (*(joint.link for joint in self.joints), *(link.name for link in self.fixed_links))

    @cached_property
    def position_lower_rad(self) -> FloatArray:
        """Lower hard limits (n,)."""
        return frozen_array([joint.lower_rad for joint in self.joints])

    @cached_property
    def position_upper_rad(self) -> FloatArray:
        """Upper hard limits (n,)."""
        return frozen_array([joint.upper_rad for joint in self.joints])

    @cached_property
    def velocity_rad_s(self) -> FloatArray:
        """Rated velocities (n,)."""
        return frozen_array([joint.velocity_rad_s for joint in self.joints])

    @cached_property
    def effort_nm(self) -> FloatArray:
        """Rated efforts (n,)."""
        return frozen_array([joint.effort_nm for joint in self.joints])

    @cached_property
    def command_lower_rad(self) -> FloatArray:
        """The least positions (n,) that are commanded."""
        return frozen_array(self.position_lower_rad + self.position_margin_rad)

    @cached_property
    def command_upper_rad(self) -> FloatArray:
        """The largest positions (n,) that are commanded."""
        return frozen_array(self.position_upper_rad - self.position_margin_rad)

    @property
    def gripper_joints(self) -> tuple[str, ...]:
        """Joints of the fingers; none without a gripper."""
        return self.gripper.joints if self.gripper else ()

    @property
    def finger_max_m(self) -> float:
        """How far each finger opens; 0 without a gripper."""
        return self.gripper.finger_max_m if self.gripper else 0.0

    @property
    def finger_force_n(self) -> float:
        """What a finger presses with at most; 0 without a gripper."""
        return self.gripper.finger_force_n if self.gripper else 0.0

    @property
    def finger_travel_s(self) -> float:
        """How long a finger takes for its whole way; 0 without a gripper."""
        return self.gripper.travel_s if self.gripper else 0.0

    @property
    def torso_joint(self) -> str:
        """Name of the torso's joint; empty without a torso."""
        return self.torso.joint if self.torso else ""

    @property
    def torso_range_m(self) -> tuple[float, float]:
        """Heights of the torso; (0, 0) without one."""
        return self.torso.range_m if self.torso else (0.0, 0.0)

    def first_joint_m(self, torso_height_m: float) -> FloatArray:
        """Return the origin (3,) of the first joint, the one point of the arm that no joint moves."""
        below = (self.torso.origin_m,) if self.torso else ()
        return np.array([*below, self.joints[0].origin_m, (0.0, 0.0, torso_height_m)]).sum(axis=0)

    def body_boxes(self, torso_height_m: float) -> tuple[Box, ...]:
        """Return the boxes of ``shapes.body`` with the torso at that height."""
        lifted_m = (self.torso.origin_m[2] if self.torso else 0.0) + torso_height_m

        def corner(point: Point, lifts: bool) -> Point:
            return (point[0], point[1], lifted_m + point[2]) if lifts else point

        return tuple(
            Box(box.name, corner(box.lower_m, box.lifts_lower), corner(box.upper_m, box.lifts_upper))
            for box in self.shapes.body
        )


def frozen_array(values: object) -> FloatArray:
    """Return ``values`` as a float64 array that cannot be written to."""
    array = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array
