"""The MuJoCo model of a world: robot, floor, table, objects, lights, cameras.

It is compiled once; an episode's sample is written into the compiled model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.mjcf import WORLD_CONAFFINITY, WORLD_CONTYPE, arm_model, source_of
from fetch_sim2real.common.physics import mujoco
from fetch_sim2real.perception.camera import Pose
from fetch_sim2real.sim.mujoco.mechanics import Mechanics
from fetch_sim2real.sim.randomization.distractors import MAX_DISTRACTORS
from fetch_sim2real.sim.randomization.objects import ObjectPhysics
from fetch_sim2real.sim.randomization.obstacles import MAX_OBSTACLES
from fetch_sim2real.sim.randomization.sample import DynamicsSample, EpisodeSample
from fetch_sim2real.sim.randomization.textures import TEXTURE_SIZE
from fetch_sim2real.sim.sensors.depth_camera import COLOR_T_DEPTH, VERTICAL_FOV_DEG
from fetch_sim2real.sim.world_file import World
from fetch_sim2real.tasks.base import RED_BLOCK, ObjectConfig
from fetch_sim2real.timing import PHYSICS_STEP_S
from fetch_sim2real.types import FloatArray

FLOOR, TABLE, WALL, CAMERA = "floor", "table", "wall", "camera"
DEPTH_CAMERA: Final = "depth_camera"  # the depth sensor beside the colour camera
LIGHTS: Final = ("light", "second_light")
# A hand and its forearm, which may pass through the picture (``sim.disturbances.changes``).
PASSERS: Final = ("passing_hand", "passing_arm")
DISTRACTORS: Final = tuple(f"distractor_{i}" for i in range(MAX_DISTRACTORS))
OBSTACLES: Final = tuple(f"obstacle_{i}" for i in range(MAX_OBSTACLES))
# What stands behind everything else: drawn last, so that nothing is painted that is then painted over.
BACKDROP_GROUP: Final = 2
_HIDDEN_GROUP: Final = 3  # MuJoCo draws groups up to 2
# Large enough for every camera profile: the offscreen buffer is made once.
_OFFSCREEN_WIDTH, _OFFSCREEN_HEIGHT = 1280, 720
# Shadows cost more than all else in a picture: only those around the workspace are worked out, half size in m.
_SHADOW_MAP_SIZE, _SHADOW_REACH_M = 512, 0.7
# Clip planes as shares of the scene's extent, which is set to 1 m so that they are metres.
_EXTENT_M, _NEAR_M, _FAR_M = 1.0, 0.05, 10.0

# MuJoCo's cameras look along -z with y up, optical frames along +z with y down.
_OPTICAL_TO_MUJOCO = np.diag([1.0, -1.0, -1.0])


def object_body(name: str) -> str:
    """Return what the body of the object ``name``, and its geom, are called in the model."""
    return f"object_{name}"


def object_joint(name: str) -> str:
    """Return what the free joint of the object ``name`` is called in the model."""
    return f"object_{name}_joint"


def obstacle_names(world: World) -> tuple[str, ...]:
    """Return what the bodies of as many obstacles as the world has at most, and their geoms, are called."""
    return OBSTACLES[: world.obstacles.count[1]]


def obstacle_joint(name: str) -> str:
    """Return what the free joint of the obstacle's body ``name`` is called in the model."""
    return f"{name}_joint"


def scene_spec(world: World, objects: Mapping[str, ObjectConfig]) -> mujoco.MjSpec:
    """Return an MjSpec of the world with ``objects``, by name, at the middle of their ranges."""
    spec = arm_model(world.workcell.torso_height_m)
    spec.option.timestep = PHYSICS_STEP_S
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.stat.extent = _EXTENT_M
    spec.visual.map.znear, spec.visual.map.zfar = _NEAR_M, _FAR_M
    # Multisampling would blur depth over edges and doubles the cost of software rendering.
    spec.visual.quality.offsamples = 0
    spec.visual.quality.shadowsize, spec.visual.map.shadowclip = _SHADOW_MAP_SIZE, _SHADOW_REACH_M
    spec.visual.global_.offwidth, spec.visual.global_.offheight = _OFFSCREEN_WIDTH, _OFFSCREEN_HEIGHT
    for texture in list(spec.textures):
        if texture.type == mujoco.mjtTexture.mjTEXTURE_SKYBOX:
            spec.delete(texture)
    _add_textures(spec)
    _add_floor_and_table(spec, world)
    for name, config in objects.items():
        _add_object(spec, world, name, config)
    for name in obstacle_names(world):
        _add_body(spec, name, obstacle_joint(name), [0.0, 0.0, 0.0], RED_BLOCK)
    _add_what_is_only_seen(spec)
    for name in source_of(ARM).hidden_geoms:
        spec.geom(name).group = _HIDDEN_GROUP
    mounted_m = list(world.workcell.camera.position_m)
    spec.worldbody.add_camera(name=CAMERA, fovy=world.camera.vertical_fov_deg, pos=mounted_m)
    spec.worldbody.add_camera(name=DEPTH_CAMERA, fovy=VERTICAL_FOV_DEG, pos=mounted_m)
    return spec


def _add_floor_and_table(spec: mujoco.MjSpec, world: World) -> None:
    spec.worldbody.add_geom(
        name=FLOOR, type=mujoco.mjtGeom.mjGEOM_PLANE, size=[4, 4, 0.1], contype=WORLD_CONTYPE,
        conaffinity=WORLD_CONAFFINITY, material=FLOOR, rgba=[1, 1, 1, 1], group=BACKDROP_GROUP,
    )  # fmt: skip
    height = world.workcell.table.height_m.middle
    (x, y), (depth, width) = world.workcell.table.center_xy_m, world.workcell.table.size_xy_m
    table = spec.worldbody.add_body(name=TABLE, pos=[x, y, height / 2])
    table.add_geom(
        name=TABLE, type=mujoco.mjtGeom.mjGEOM_BOX, size=[depth / 2, width / 2, height / 2], contype=WORLD_CONTYPE,
        conaffinity=WORLD_CONAFFINITY, material=TABLE, rgba=[1, 1, 1, 1],
    )  # fmt: skip


def _add_object(spec: mujoco.MjSpec, world: World, name: str, config: ObjectConfig) -> None:
    half, table = config.half_size_m.middle, world.workcell.table
    place_m = [table.center_xy_m[0], 0.0, table.height_m.middle + half]
    _add_body(spec, object_body(name), object_joint(name), place_m, config)


def _add_body(spec: mujoco.MjSpec, name: str, joint: str, place_m: list[float], config: ObjectConfig) -> None:
    """A box that moves freely."""
    half = config.half_size_m.middle
    body = spec.worldbody.add_body(name=name, pos=place_m)
    if config.has_shifted_center:
        # Compiled with its centre of mass at its frame, a body would keep it there whatever an episode says.
        body.explicitinertial = True
        body.mass, body.ipos, body.inertia = config.mass_kg.middle, [1e-3, 0.0, 0.0], [1e-4] * 3
    body.add_joint(name=joint, type=mujoco.mjtJoint.mjJNT_FREE, damping=np.array([0.01, 0.0, 0.0]))
    body.add_geom(
        name=name, type=mujoco.mjtGeom.mjGEOM_BOX, size=[half] * 3, mass=config.mass_kg.middle, condim=4,
        friction=[config.friction.middle, 0.005, 0.0001], contype=WORLD_CONTYPE, conaffinity=WORLD_CONAFFINITY,
        # MuJoCo takes the larger friction of two geoms unless one has priority: the object's own counts everywhere.
        priority=1, rgba=[0.8, 0.1, 0.1, 1],
    )  # fmt: skip


def _add_textures(spec: mujoco.MjSpec) -> None:
    """A texture and a material each for table, floor and wall; episodes paint them."""
    for name in (TABLE, FLOOR, WALL):
        spec.add_texture(
            name=name, type=mujoco.mjtTexture.mjTEXTURE_2D, builtin=mujoco.mjtBuiltin.mjBUILTIN_FLAT, nchannel=3,
            width=TEXTURE_SIZE, height=TEXTURE_SIZE, rgb1=[0.7, 0.7, 0.7],
        )  # fmt: skip
        # Uniform: repeats per metre, not per object.
        material = spec.add_material(name=name, texuniform=True)
        material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name


def _add_what_is_only_seen(spec: mujoco.MjSpec) -> None:
    """Lights, the wall, and distractors, which nothing collides with; episodes place them, or hide them by alpha."""
    for name in LIGHTS:
        spec.worldbody.add_light(
            name=name, type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL, pos=[0.6, 0, 3], dir=[0, 0, -1], castshadow=False
        )
    spec.worldbody.add_geom(
        name=WALL, type=mujoco.mjtGeom.mjGEOM_BOX, size=[3.0, 0.005, 1.5], pos=[0.6, -2.0, 1.5], contype=0,
        conaffinity=0, material=WALL, rgba=[1, 1, 1, 0], group=BACKDROP_GROUP,
    )  # fmt: skip
    for name in (*DISTRACTORS, *PASSERS):
        spec.worldbody.add_geom(
            name=name, type=mujoco.mjtGeom.mjGEOM_BOX, size=[0.03] * 3, contype=0, conaffinity=0, rgba=[1, 1, 1, 0],
            # Compiled where the body's frame is, a geom would stay there whatever its pose is set to.
            pos=[0.0, 0.0, -1.0], quat=[0.8, 0.0, 0.0, 0.6],
        )  # fmt: skip


# -- an episode's sample in the compiled model ------------------------------------------------------------------


def place_cameras(model: mujoco.MjModel, base_T_color: Pose) -> None:
    """Put the colour camera there; its depth sensor goes with it."""
    _place_camera(model, CAMERA, base_T_color)
    _place_camera(model, DEPTH_CAMERA, base_T_color @ COLOR_T_DEPTH)


def _place_camera(model: mujoco.MjModel, name: str, base_T_optical: Pose) -> None:
    camera = model.camera(name).id
    model.cam_pos[camera] = base_T_optical.position
    mujoco.mju_mat2Quat(model.cam_quat[camera], (base_T_optical.rotation @ _OPTICAL_TO_MUJOCO).ravel())


def apply_dynamics(
    model: mujoco.MjModel, data: mujoco.MjData, mechanics: Mechanics, sample: EpisodeSample
) -> None:
    """Write servos, links, fingers, table height, and the objects' shape, mass and contact.

    ``data`` is scratch: it has to be reset after.
    """
    _apply_servos(model, sample.dynamics)
    mechanics.apply(sample.dynamics.mechanics, sample.main_object.physics)
    table = model.geom(TABLE).id
    # The table keeps its size and is raised or sunk into the floor.
    model.body_pos[model.body(TABLE).id, 2] = sample.dynamics.table_height_m - model.geom_size[table, 2]
    for name, each in sample.objects.items():
        _apply_body(model, object_body(name), object_joint(name), each.physics)
    for name, obstacle in zip(OBSTACLES, sample.obstacles, strict=False):
        _apply_body(model, name, obstacle_joint(name), obstacle.object.physics)
    mujoco.mj_setConst(model, data)


def _apply_servos(model: mujoco.MjModel, draw: DynamicsSample) -> None:
    gains = source_of(ARM).gains
    for i, name in enumerate(ARM.joint_names):
        servo, dof = model.actuator(name).id, model.joint(name).dofadr[0]
        stiffness = gains.kp[i] * draw.stiffness_factor[i]
        model.actuator_gainprm[servo, 0] = stiffness
        model.actuator_biasprm[servo, 1] = -stiffness
        model.actuator_biasprm[servo, 2] = -gains.kv[i] * draw.mechanics.servo_damping_factor[i]
        model.dof_damping[dof] = gains.damping[i] * draw.damping_factor[i]
        model.dof_armature[dof] = gains.armature[i] * draw.armature_factor[i]
        model.dof_frictionloss[dof] = draw.mechanics.joint_friction_nm[i]


def _apply_body(model: mujoco.MjModel, name: str, joint: str, draw: ObjectPhysics) -> None:
    geom, body, half = model.geom(name).id, model.body(name).id, draw.half_extents_m
    is_box = draw.shape == "box"
    model.geom_type[geom] = mujoco.mjtGeom.mjGEOM_BOX if is_box else mujoco.mjtGeom.mjGEOM_CYLINDER
    # A cylinder's sizes are its radius and half height.
    model.geom_size[geom] = half if is_box else [half[0], half[2], 0.0]
    model.geom_rbound[geom] = np.linalg.norm(half) if is_box else np.hypot(half[0], half[2])
    model.geom_aabb[geom, 3:] = half
    model.geom_friction[geom, :2] = draw.friction, draw.torsional_friction_m
    model.geom_solref[geom, 0] = draw.contact_time_s
    model.geom_solimp[geom, 0] = draw.contact_impedance
    first = model.joint(joint).dofadr[0]
    model.dof_damping[first : first + 3] = draw.drag
    model.body_ipos[body] = draw.center_m
    model.body_mass[body] = draw.mass_kg
    model.body_inertia[body] = draw.mass_kg * _inertia_per_mass(is_box, half)


def _inertia_per_mass(is_box: bool, half: FloatArray) -> FloatArray:
    """Principal moments (3,) [m^2] of a homogeneous box, or of a cylinder along z."""
    x, y, z = half**2
    if is_box:
        return np.array([y + z, x + z, x + y]) / 3.0
    across = x / 4.0 + z / 3.0
    return np.array([across, across, x / 2.0])
