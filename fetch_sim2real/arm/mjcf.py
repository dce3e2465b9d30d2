"""An arm for MuJoCo: its body tree and meshes as its source has them, rebuilt as a joint-servoed arm.

What is changed and why: models made for a mocap weld are dragged by it, slide on their base and carry dampings and
armatures that keep a wrist with its rated effort far below its rated speed. Here base and torso are fixed, welds are
gone, every arm joint has a position servo with the robot's effort limit, and damping, armature and gains are such that
each joint reaches its velocity limit within its effort limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.spec import ArmSpec, MjcfSource, ServoGains
from fetch_sim2real.common.physics import mujoco
from fetch_sim2real.errors import RobotModelError
from fetch_sim2real.types import FloatArray

GRIP_SITE: Final = "grip"
# Collision groups as bits: the robot meets the world, not itself (the safety filter keeps it from itself, and mesh
# against mesh is where the simulation time would go).
ROBOT_CONTYPE, ROBOT_CONAFFINITY = 1, 2
WORLD_CONTYPE, WORLD_CONAFFINITY = 2, 3


def source_of(arm: ArmSpec) -> MjcfSource:
    """Return where the arm's model comes from; RobotModelError for an arm without one."""
    if arm.mjcf is None:
        raise RobotModelError(f"arm '{arm.name}' has no MuJoCo model: give its ArmSpec an mjcf")
    return arm.mjcf


def _file_of(source: MjcfSource) -> Path:
    # find_spec does not import the package, whose import is slow and talks.
    found = find_spec(source.package)
    if found is None or found.origin is None:
        raise RobotModelError(
            f"the arm's meshes come from the package {source.package}, which is not installed; "
            f"run: pip install '{source.requirement}'"
        )
    return Path(found.origin).parent.joinpath(*source.path)


def arm_model(torso_height_m: float, arm: ArmSpec = ARM, gains: ServoGains | None = None) -> mujoco.MjSpec:
    """Return an MjSpec with the robot alone, base_link at the world's origin, torso fixed at ``torso_height_m``.

    Names are the robot's own, and the site ``grip``. Actuators, one per arm joint named like it: position servo on
    ``ctrl`` = reference position [rad], by ``gains`` instead of the arm's own; one for each finger [m].
    """
    low, high = arm.torso_range_m
    if not low <= torso_height_m <= high:
        raise RobotModelError(f"torso height is {torso_height_m} m, expected {low}..{high} m")
    source = source_of(arm)
    gains = gains or source.gains
    spec = mujoco.MjSpec.from_file(str(_file_of(source)))
    # Keep the robot, drop the original scene: weld, mocap body, table, floor, lights.
    for item in [*spec.equalities, *spec.excludes]:
        spec.delete(item)
    robot = spec.body(source.prefix + source.root_body)
    for body in list(spec.worldbody.bodies):
        if body.name != robot.name:
            spec.delete(body)
    for item in [*spec.worldbody.geoms, *spec.worldbody.lights, *spec.worldbody.sites]:
        spec.delete(item)
    for camera in list(spec.cameras):
        spec.delete(camera)
    for name in source.removed_bodies:
        spec.delete(spec.body(source.prefix + name))
    for name in source.removed_joints:
        spec.delete(spec.joint(source.prefix + name))
    robot.pos = [0.0, 0.0, 0.0]
    if arm.torso:
        torso = spec.body(source.prefix + source.torso_body)
        torso.pos = torso.pos + np.array([0.0, 0.0, torso_height_m])
    _refit_joints(spec, arm, source, gains)
    _strip_prefix(spec, source.prefix)
    _add_servos(spec, arm, source, gains)
    if spec.site(GRIP_SITE) is None:
        spec.body(arm.tool.link).add_site(name=GRIP_SITE, pos=list(arm.tool.offset_m))
    for geom in spec.geoms:
        collides = geom.name in source.colliding_geoms
        geom.contype = ROBOT_CONTYPE if collides else 0
        geom.conaffinity = ROBOT_CONAFFINITY if collides else 0
    # All that moves; on bodies that do not, it would be worked out in every physics step for nothing.
    first = spec.body(arm.joints[0].link)
    for body in (first, *first.find_all("body")):
        body.gravcomp = 1.0
    return spec


@dataclass(frozen=True, eq=False)
class MeshFile:
    """A mesh as its source has it: where the file's own frame lies in the link, (3,) [m] and wxyz; scale (3,)."""

    path: Path
    position_m: FloatArray
    quaternion_wxyz: FloatArray
    scale: FloatArray


def mesh_files(arm: ArmSpec = ARM) -> dict[str, MeshFile]:
    """Return the files of the arm's meshes, by the names of the model's shapes.

    A compiled model has vertices about each mesh's own centre instead. RobotModelError for an arm without a model.
    """
    spec = arm_model(arm.torso_range_m[0], arm)
    folder = _file_of(source_of(arm)).parent / spec.meshdir
    found = {}
    for geom in spec.geoms:
        if geom.type == mujoco.mjtGeom.mjGEOM_MESH:
            mesh = spec.mesh(geom.meshname)
            path = (folder / mesh.file).resolve()
            found[geom.name] = MeshFile(path, geom.pos.copy(), geom.quat.copy(), mesh.scale.copy())
    return found


def _refit_joints(spec: mujoco.MjSpec, arm: ArmSpec, source: MjcfSource, gains: ServoGains) -> None:
    for i, name in enumerate(arm.joint_names):
        joint = spec.joint(source.prefix + name)
        joint.damping = np.full_like(joint.damping, 0.0)
        joint.damping[0] = gains.damping[i]
        joint.armature = gains.armature[i]
        joint.stiffness = np.zeros_like(joint.stiffness)
        joint.frictionloss = 0.0
        # MuJoCo adds up the actuators' force on the joint: the robot's effort limit.
        joint.actfrcrange = [-arm.effort_nm[i], arm.effort_nm[i]]
        joint.actfrclimited = mujoco.mjtLimited.mjLIMITED_TRUE
        # Gravity compensation is part of the servo's effort, as on the robot.
        joint.actgravcomp = True
    fingers = source.fingers
    if fingers is None:
        return
    for name in arm.gripper_joints:
        joint = spec.joint(source.prefix + name)
        joint.damping = np.full_like(joint.damping, 0.0)
        joint.damping[0] = fingers.damping
        joint.armature = fingers.armature_kg
        body = joint.parent
        body.mass = fingers.mass_kg
        body.inertia = list(fingers.inertia_kg_m2)


def _strip_prefix(spec: mujoco.MjSpec, prefix: str) -> None:
    # Meshes and materials keep theirs: geoms refer to them by name.
    for kind in (spec.bodies, spec.joints, spec.geoms, spec.sites):
        for element in kind:
            if element.name.startswith(prefix):
                element.name = element.name.removeprefix(prefix)


def _add_servos(spec: mujoco.MjSpec, arm: ArmSpec, source: MjcfSource, gains: ServoGains) -> None:
    for i, name in enumerate(arm.joint_names):
        servo = spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        servo.set_to_position(kp=float(gains.kp[i]), kv=float(gains.kv[i]))
    fingers = source.fingers
    if fingers is None:
        return
    for name in arm.gripper_joints:
        servo = spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        servo.set_to_position(kp=fingers.kp, kv=fingers.kv)
        servo.ctrllimited = mujoco.mjtLimited.mjLIMITED_TRUE
        servo.ctrlrange = [0.0, arm.finger_max_m]
        servo.forcelimited = mujoco.mjtLimited.mjLIMITED_TRUE
        servo.forcerange = [-arm.finger_force_n, arm.finger_force_n]
