"""sensor_msgs/JointState as plain data, for tests of what needs no ROS."""

from __future__ import annotations

from dataclasses import dataclass, field

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.types import FloatArray


@dataclass
class Stamp:
    sec: int
    nanosec: int


@dataclass
class Header:
    stamp: Stamp


@dataclass
class JointMessage:
    """The fields that are read of a JointState."""

    header: Header
    name: list[str]
    position: list[float]
    velocity: list[float]
    effort: list[float] = field(default_factory=list)


def joint_message(stamp_ns: int, arm_rad: FloatArray, torso_m: float | None) -> JointMessage:
    """Arm at rest at ``arm_rad`` (7,), fingers closed, and the torso unless its height is None."""
    torso = [] if torso_m is None else [torso_m]
    names = [*ARM.command_joints, ARM.torso_joint][: len(ARM.command_joints) + len(torso)]
    position = [*arm_rad.tolist(), 0.0, 0.0, *torso]
    return JointMessage(Header(Stamp(*divmod(stamp_ns, 10**9))), names, position, [0.0] * len(names))
