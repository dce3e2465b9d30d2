"""Writes an episode's draw into a compiled MuJoCo model, without compiling it anew."""

from __future__ import annotations

import mujoco
import numpy as np

from fetch_sim2real.robot.joints import ARM_JOINTS
from fetch_sim2real.robot.model import NOMINAL_GAINS
from fetch_sim2real.sim.episode import CameraDraw, DynamicsDraw, LooksDraw
from fetch_sim2real.sim.scene import BLOCK, CAMERA, FLOOR, LIGHT, TABLE

# MuJoCo's cameras look along -z with y up, optical frames along +z with y down.
_OPTICAL_TO_MUJOCO = np.diag([1.0, -1.0, -1.0])


def apply_camera(model: mujoco.MjModel, draw: CameraDraw) -> None:
    """Pose and field of view of the true camera."""
    camera = model.camera(CAMERA).id
    model.cam_pos[camera] = draw.position_m
    mujoco.mju_mat2Quat(model.cam_quat[camera], (draw.rotation @ _OPTICAL_TO_MUJOCO).ravel())
    model.cam_fovy[camera] = draw.vertical_fov_deg


def apply_looks(model: mujoco.MjModel, draw: LooksDraw) -> None:
    """Colours and light."""
    for geom, color in ((TABLE, draw.table_color), (BLOCK, draw.block_color), (FLOOR, draw.floor_color)):
        model.geom_rgba[model.geom(geom).id, :3] = color
    light = model.light(LIGHT).id
    model.light_dir[light] = draw.light_direction / np.linalg.norm(draw.light_direction)
    model.light_diffuse[light] = draw.diffuse
    model.light_ambient[light] = draw.ambient
    model.light_specular[light] = 0.2
    model.vis.headlight.active = 0


def apply_dynamics(model: mujoco.MjModel, draw: DynamicsDraw) -> None:
    """Servos, table height, block size, mass and friction."""
    gains = NOMINAL_GAINS
    for i, name in enumerate(ARM_JOINTS):
        servo, dof = model.actuator(name).id, model.joint(name).dofadr[0]
        stiffness = gains.kp[i] * draw.stiffness_factor[i]
        model.actuator_gainprm[servo, 0] = stiffness
        model.actuator_biasprm[servo, 1] = -stiffness
        model.dof_damping[dof] = gains.damping[i] * draw.damping_factor[i]
    table, block = model.geom(TABLE).id, model.geom(BLOCK).id
    # The table keeps its size and is raised or sunk into the floor.
    model.body_pos[model.body(TABLE).id, 2] = draw.table_height_m - model.geom_size[table, 2]
    half, mass = draw.block_half_size_m, draw.block_mass_kg
    model.geom_size[block] = half
    model.geom_rbound[block] = half * np.sqrt(3.0)
    model.geom_aabb[block, 3:] = half
    model.geom_friction[block, 0] = draw.block_friction
    body = model.body(BLOCK).id
    model.body_mass[body] = mass
    # A cube's inertia is m (2a)^2 / 6 with a the half size.
    model.body_inertia[body] = mass * (2.0 * half) ** 2 / 6.0
    mujoco.mj_setConst(model, mujoco.MjData(model))
