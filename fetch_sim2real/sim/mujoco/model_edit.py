"""Writes an episode's draw into a compiled MuJoCo model, without compiling it anew."""

from __future__ import annotations

import numpy as np

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.mjcf import source_of
from fetch_sim2real.common.physics import mujoco
from fetch_sim2real.perception.camera import Pose
from fetch_sim2real.sim.mujoco.scene import CAMERA, DEPTH_CAMERA, TABLE, object_body, object_joint
from fetch_sim2real.sim.randomization.sample import DynamicsSample, EpisodeSample, ObjectPhysics
from fetch_sim2real.sim.sensors.depth_camera import COLOR_T_DEPTH
from fetch_sim2real.types import FloatArray

# MuJoCo's cameras look along -z with y up, optical frames along +z with y down.
_OPTICAL_TO_MUJOCO = np.diag([1.0, -1.0, -1.0])


def place_cameras(model: mujoco.MjModel, base_T_color: Pose) -> None:
    """Put the colour camera there; its depth sensor goes with it."""
    _place_camera(model, CAMERA, base_T_color)
    _place_camera(model, DEPTH_CAMERA, base_T_color @ COLOR_T_DEPTH)


def _place_camera(model: mujoco.MjModel, name: str, base_T_optical: Pose) -> None:
    camera = model.camera(name).id
    model.cam_pos[camera] = base_T_optical.position
    mujoco.mju_mat2Quat(model.cam_quat[camera], (base_T_optical.rotation @ _OPTICAL_TO_MUJOCO).ravel())


def apply_dynamics(model: mujoco.MjModel, data: mujoco.MjData, sample: EpisodeSample) -> None:
    """Write servos, table height, and the objects' shape, mass and contact.

    ``data`` is scratch: it has to be reset after.
    """
    _apply_robot(model, sample.dynamics)
    table = model.geom(TABLE).id
    # The table keeps its size and is raised or sunk into the floor.
    model.body_pos[model.body(TABLE).id, 2] = sample.dynamics.table_height_m - model.geom_size[table, 2]
    for name, each in sample.objects.items():
        _apply_object(model, name, each.physics)
    mujoco.mj_setConst(model, data)


def _apply_robot(model: mujoco.MjModel, draw: DynamicsSample) -> None:
    gains = source_of(ARM).gains
    for i, name in enumerate(ARM.joint_names):
        servo, dof = model.actuator(name).id, model.joint(name).dofadr[0]
        stiffness = gains.kp[i] * draw.stiffness_factor[i]
        model.actuator_gainprm[servo, 0] = stiffness
        model.actuator_biasprm[servo, 1] = -stiffness
        model.dof_damping[dof] = gains.damping[i] * draw.damping_factor[i]
        model.dof_armature[dof] = gains.armature[i] * draw.armature_factor[i]


def _apply_object(model: mujoco.MjModel, name: str, draw: ObjectPhysics) -> None:
    called = object_body(name)
    geom, body, half = model.geom(called).id, model.body(called).id, draw.half_extents_m
    is_box = draw.shape == "box"
    model.geom_type[geom] = mujoco.mjtGeom.mjGEOM_BOX if is_box else mujoco.mjtGeom.mjGEOM_CYLINDER
    # A cylinder's sizes are its radius and half height.
    model.geom_size[geom] = half if is_box else [half[0], half[2], 0.0]
    model.geom_rbound[geom] = np.linalg.norm(half) if is_box else np.hypot(half[0], half[2])
    model.geom_aabb[geom, 3:] = half
    model.geom_friction[geom, 0] = draw.friction
    model.geom_solref[geom, 0] = draw.contact_time_s
    model.geom_solimp[geom, 0] = draw.contact_impedance
    first = model.joint(object_joint(name)).dofadr[0]
    model.dof_damping[first : first + 3] = draw.drag
    model.body_mass[body] = draw.mass_kg
    model.body_inertia[body] = draw.mass_kg * _inertia_per_mass(is_box, half)


def _inertia_per_mass(is_box: bool, half: FloatArray) -> FloatArray:
    """Principal moments (3,) [m^2] of a homogeneous box, or of a cylinder along z."""
    x, y, z = half**2
    if is_box:
        return np.array([y + z, x + z, x + y]) / 3.0
    across = x / 4.0 + z / 3.0
    return np.array([across, across, x / 2.0])
