"""Fetch for MuJoCo: the body tree and meshes of gymnasium-robotics, rebuilt as a joint-servoed arm.

What is changed and why: the original is dragged by a mocap weld, slides on its base and carries dampings and
armatures that keep a wrist with Fetch's rated effort far below its rated speed. Here the base and the torso are fixed,
the weld is gone, every arm joint has a position servo with the robot's effort limit, and damping, armature and gains
are such that each joint reaches its velocity limit within its effort limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np

from fetch_sim2real.arm.fetch.joints import (
    ARM_JOINTS,
    EFFORT_NM,
    FINGER_FORCE_N,
    FINGER_MAX_M,
    GRIPPER_JOINTS,
    TORSO_RANGE_M,
)
from fetch_sim2real.arm.kinematics import ARM_LINKS
from fetch_sim2real.common.physics import mujoco
from fetch_sim2real.errors import RobotModelError
from fetch_sim2real.types import FloatArray

_PREFIX: Final = "robot0:"
GRIP_SITE: Final = "grip"
# Frames of cameras that nothing looks through: without mass and shape they would only cost time in every physics step.
_REMOVED_BODIES: Final = ("head_camera_link", "gripper_camera_link", "external_camera_body_0")
# The torso's body in the model is at the joint's zero.
_REMOVED_JOINTS: Final = ("slide0", "slide1", "slide2", "torso_lift_joint", "head_pan_joint", "head_tilt_joint")


@dataclass(frozen=True)
class ServoGains:
    """Position servos of the arm, each (7,): stiffness [Nm/rad], servo damping [Nm s/rad], joint damping, armature.

    ``kv`` acts on the velocity error (the servo follows the reference's velocity), ``damping`` and ``armature`` are the
    joint's own: friction of the gear and reflected rotor inertia.
    """

    kp: FloatArray
    kv: FloatArray
    damping: FloatArray
    armature: FloatArray


# Damping takes about a tenth of the rated effort at the rated speed. Armatures are the size of the link inertia seen at
# each joint, so that the servo's bandwidth does not depend on what the gripper holds.
NOMINAL_GAINS: Final = ServoGains(
    kp=np.array([2500.0, 3000.0, 1500.0, 1500.0, 600.0, 600.0, 300.0]),
    kv=np.array([200.0, 250.0, 90.0, 90.0, 30.0, 30.0, 12.0]),
    damping=np.array([2.5, 8.0, 4.0, 4.0, 1.5, 1.0, 0.3]),
    armature=np.array([0.3, 0.4, 0.3, 0.3, 0.12, 0.12, 0.05]),
)
_FINGER_KP, _FINGER_KV, _FINGER_ARMATURE_KG, _FINGER_DAMPING = 4000.0, 150.0, 1.0, 20.0
_FINGER_MASS_KG: Final = 0.06


def _asset_directory() -> Path:
    # find_spec does not import the package, whose import is slow and talks.
    found = find_spec("gymnasium_robotics")
    if found is None or found.origin is None:
        raise RobotModelError(
            "the Fetch meshes come from the package gymnasium-robotics, which is not installed; "
            "run: pip install 'gymnasium-robotics>=1.4.2,<1.5'"
        )
    return Path(found.origin).parent / "envs" / "assets"


def fetch_spec(torso_height_m: float, gains: ServoGains = NOMINAL_GAINS) -> mujoco.MjSpec:
    """An MjSpec with the robot alone, base_link at the world's origin, torso fixed at ``torso_height_m``.

    Names are Fetch's own (``shoulder_pan_joint``, ``gripper_link``, site ``grip``). Actuators, one per arm joint named
    like it: position servo on ``ctrl`` = reference position [rad]; two for the fingers [m].
    """
    low, high = TORSO_RANGE_M
    if not low <= torso_height_m <= high:
        raise RobotModelError(f"torso height is {torso_height_m} m, expected {low}..{high} m")
    source = _asset_directory() / "fetch" / "reach.xml"
    spec = mujoco.MjSpec.from_file(str(source))
    # Keep the robot, drop the original scene: weld, mocap body, table, floor, lights.
    for item in [*spec.equalities, *spec.excludes]:
        spec.delete(item)
    robot = spec.body(_PREFIX + "base_link")
    for body in list(spec.worldbody.bodies):
        if body.name != robot.name:
            spec.delete(body)
    for item in [*spec.worldbody.geoms, *spec.worldbody.lights, *spec.worldbody.sites]:
        spec.delete(item)
    for camera in list(spec.cameras):
        spec.delete(camera)
    for name in _REMOVED_BODIES:
        spec.delete(spec.body(_PREFIX + name))
    for name in _REMOVED_JOINTS:
        spec.delete(spec.joint(_PREFIX + name))
    robot.pos = [0.0, 0.0, 0.0]
    torso = spec.body(_PREFIX + "torso_lift_link")
    torso.pos = torso.pos + np.array([0.0, 0.0, torso_height_m])
    _refit_joints(spec, gains)
    _strip_prefix(spec)
    _add_servos(spec, gains)
    _set_collisions(spec)
    # All that moves; on bodies that do not, it would be worked out in every physics step for nothing.
    shoulder = spec.body(ARM_LINKS[0])
    for body in (shoulder, *shoulder.find_all("body")):
        body.gravcomp = 1.0
    return spec


def _refit_joints(spec: mujoco.MjSpec, gains: ServoGains) -> None:
    for i, name in enumerate(ARM_JOINTS):
        joint = spec.joint(_PREFIX + name)
        joint.damping = np.full_like(joint.damping, 0.0)
        joint.damping[0] = gains.damping[i]
        joint.armature = gains.armature[i]
        joint.stiffness = np.zeros_like(joint.stiffness)
        joint.frictionloss = 0.0
        # MuJoCo adds up the actuators' force on the joint: the robot's effort limit.
        joint.actfrcrange = [-EFFORT_NM[i], EFFORT_NM[i]]
        joint.actfrclimited = mujoco.mjtLimited.mjLIMITED_TRUE
        # Gravity compensation is part of the servo's effort, as on the robot.
        joint.actgravcomp = True
    for name in GRIPPER_JOINTS:
        joint = spec.joint(_PREFIX + name)
        joint.damping = np.full_like(joint.damping, 0.0)
        joint.damping[0] = _FINGER_DAMPING
        joint.armature = _FINGER_ARMATURE_KG
        body = joint.parent
        # The original gives a finger 4 kg.
        body.mass = _FINGER_MASS_KG
        body.inertia = [2e-5, 2e-5, 2e-5]


def _strip_prefix(spec: mujoco.MjSpec) -> None:
    # Meshes and materials keep theirs: geoms refer to them by name.
    for kind in (spec.bodies, spec.joints, spec.geoms, spec.sites):
        for element in kind:
            if element.name.startswith(_PREFIX):
                element.name = element.name.removeprefix(_PREFIX)


def _add_servos(spec: mujoco.MjSpec, gains: ServoGains) -> None:
    for i, name in enumerate(ARM_JOINTS):
        servo = spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        servo.set_to_position(kp=float(gains.kp[i]), kv=float(gains.kv[i]))
    for name in GRIPPER_JOINTS:
        servo = spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        servo.set_to_position(kp=_FINGER_KP, kv=_FINGER_KV)
        servo.ctrllimited = mujoco.mjtLimited.mjLIMITED_TRUE
        servo.ctrlrange = [0.0, FINGER_MAX_M]
        servo.forcelimited = mujoco.mjtLimited.mjLIMITED_TRUE
        servo.forcerange = [-FINGER_FORCE_N, FINGER_FORCE_N]


# Collision groups as bits: the robot meets the world, not itself (the safety filter keeps it from itself, and mesh
# against mesh is where the simulation time would go).
ROBOT_CONTYPE, ROBOT_CONAFFINITY = 1, 2
WORLD_CONTYPE, WORLD_CONAFFINITY = 2, 3
_COLLIDING: Final = ("elbow_flex_link", "forearm_roll_link", "wrist_flex_link", "wrist_roll_link", "gripper_link",
                     "r_gripper_finger_link", "l_gripper_finger_link")  # fmt: skip


def _set_collisions(spec: mujoco.MjSpec) -> None:
    for geom in spec.geoms:
        collides = geom.name in _COLLIDING
        geom.contype = ROBOT_CONTYPE if collides else 0
        geom.conaffinity = ROBOT_CONAFFINITY if collides else 0
