"""What one episode is made of: everything that a seed decides, drawn before it starts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.ik import DifferentialIk
from fetch_sim2real.common.ranges import draw3, rgb_of
from fetch_sim2real.perception.camera import CameraModel, camera_rotation
from fetch_sim2real.sim.randomization.appearance import AppearanceSample, draw_appearance
from fetch_sim2real.sim.randomization.distractors import Corridor, corridors, draw_distractors
from fetch_sim2real.sim.randomization.start import draw_move, draw_start
from fetch_sim2real.sim.sensors.rgbd import SensorSample, draw_sensor
from fetch_sim2real.sim.world_file import World
from fetch_sim2real.tasks.base import ObjectConfig, Task
from fetch_sim2real.tasks.carrying import Carrier
from fetch_sim2real.types import FloatArray


@dataclass(frozen=True)
class CameraSample:
    """The true camera: position (3,) [m] and rotation (3, 3) of the optical frame in base_link, vertical FOV [deg]."""

    position_m: FloatArray
    rotation: FloatArray
    vertical_fov_deg: float

    def intrinsics(self, width: int, height: int) -> CameraModel:
        """Return the intrinsics of pictures of ``width`` x ``height``."""
        return CameraModel.from_fovy(width, height, float(np.deg2rad(self.vertical_fov_deg)))


@dataclass(frozen=True)
class ObjectPhysics:
    """An object as physics knows it: half extents (3,) [m] of its box or cylinder, mass, sliding friction, drag
    [N s/m], and how its contacts give way (``tasks.base.ObjectConfig``).

    A flat box is a box here: what a world file calls it does not matter to physics.
    """

    shape: Literal["box", "cylinder"]
    half_extents_m: FloatArray
    mass_kg: float
    friction: float
    drag: float
    contact_time_s: float
    contact_impedance: float


@dataclass(frozen=True)
class ObjectSample:
    """An object of one episode: what it is, its centre (3,) in base_link and its turn about z at the start."""

    physics: ObjectPhysics
    position_m: FloatArray
    yaw_rad: float


@dataclass(frozen=True)
class DynamicsSample:
    """Servo parameters and the table's height; factors and offsets per arm joint (n,)."""

    stiffness_factor: FloatArray
    damping_factor: FloatArray
    armature_factor: FloatArray
    joint_offset_rad: FloatArray
    table_height_m: float


@dataclass(frozen=True)
class EncoderSample:
    """What joint encoders add: steps of position [rad], sigmas of position [rad] and velocity [rad/s], noise's seed."""

    step_rad: float
    noise_rad: float
    velocity_noise_rad_s: float
    seed: int


@dataclass(frozen=True)
class EpisodeSample:
    """One episode: starts, goal, the true world, delays, when and where the object would be moved, and what carries
    objects along, by name.

    ``goal_m`` (3,) is in the task's goal frame. ``jitter_seed`` decides how much each frame is off by, up to
    ``publication_jitter_s``.
    """

    seed: int
    task: Task
    arm_start_rad: FloatArray
    objects: Mapping[str, ObjectSample]
    goal_m: FloatArray
    camera: CameraSample
    appearance: AppearanceSample
    sensor: SensorSample
    dynamics: DynamicsSample
    camera_latency_s: float
    command_latency_s: float
    depth_skew_s: float
    publication_jitter_s: float
    jitter_seed: int
    encoders: EncoderSample
    move_at_s: float
    move_to_xy_m: FloatArray
    carriers: Mapping[str, Carrier]

    @property
    def main_object(self) -> ObjectSample:
        """The object that the task is about, or the parked one."""
        return self.objects[self.task.main_body]

    @property
    def objects_m(self) -> dict[str, FloatArray]:
        """Centres (3,) of the objects in base_link at the start, by name."""
        return {name: each.position_m for name, each in self.objects.items()}


def draw_episode(world: World, task: Task, seed: int, ik: DifferentialIk) -> EpisodeSample:
    """Draw everything that ``seed`` decides for ``task`` in ``world``; the same seed always gives the same episode.

    Each section has a generator of its own, so that a change in one does not shift the others.
    """
    geometry, appearance, sensor, camera, dynamics, timing, distractors, shape, encoders, instants, further, way = (
        np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(12)
    )
    configs, main = world.objects_of(task), task.main_body
    others = {name: config for name, config in configs.items() if name != main}
    dynamics_draw, physics = _draw_dynamics(world, configs[main], dynamics)
    unshaped = {main: physics} | {name: _draw_physics(config, further) for name, config in others.items()}
    table_m = dynamics_draw.table_height_m
    rest_z_m = {name: table_m + float(each.half_extents_m[2]) for name, each in unshaped.items()}
    start = draw_start(world, task, geometry, ik, rest_z_m)
    yaw_rad = {main: float(np.deg2rad(configs[main].yaw_deg.draw(geometry)))}
    yaw_rad |= {name: float(np.deg2rad(config.yaw_deg.draw(further))) for name, config in others.items()}
    move_at = world.perturbation.move_block_at_s.draw(timing)
    move_to_xy = draw_move(world, task, geometry, ik, start)
    moved_m = {**start.objects_m, main: np.array([*move_to_xy, start.objects_m[main][2]])}
    episode_s = world.episode_of(task).episode_s
    carriers = {
        name: config.draw(start.objects_m[name][:2], episode_s, way) for name, config in task.carried.items()
    }
    keep_clear = [
        corridor
        for objects_m in (start.objects_m, moved_m)
        for corridor in ground_to_keep_clear(world, task, objects_m, start.goal_m)
    ]
    for carrier in carriers.values():
        line, clearance_m = carrier.ground_m(), world.distractors.clearance_m
        keep_clear += [Corridor(one, other, clearance_m) for one, other in pairwise(line)]
    hues_deg = [configs[main].color_hsv[0], *(config.color_hsv[0] for config in others.values())]
    on_table = draw_distractors(world.distractors, hues_deg, keep_clear, distractors)
    # Last: starts and goals are the same whatever the shape.
    shaped = {main: _shaped(configs[main], unshaped[main], shape)}
    shaped |= {name: _shaped(config, unshaped[name], further) for name, config in others.items()}
    object_rgb = {name: rgb_of(draw3(config.color_hsv, further)) for name, config in others.items()}
    return EpisodeSample(
        seed=seed,
        task=task,
        arm_start_rad=start.arm_rad,
        objects={
            name: ObjectSample(
                shaped[name],
                np.array([*start.objects_m[name][:2], table_m + float(shaped[name].half_extents_m[2])]),
                yaw_rad[name],
            )
            for name in configs
        },
        goal_m=start.goal_m,
        camera=_draw_camera(world, camera),
        appearance=draw_appearance(
            world.table,
            world.floor,
            world.wall,
            world.links,
            world.light,
            (main, configs[main].color_hsv),
            object_rgb,
            on_table,
            appearance,
        ),
        sensor=draw_sensor(world.sensor, sensor),
        dynamics=dynamics_draw,
        camera_latency_s=world.timing.camera_latency_s.draw(timing),
        command_latency_s=world.timing.command_latency_s.draw(timing),
        depth_skew_s=world.timing.depth_skew_s.draw(instants),
        publication_jitter_s=world.timing.publication_jitter_s.draw(instants),
        jitter_seed=int(instants.integers(2**31)),
        encoders=_draw_encoders(world, encoders),
        move_at_s=move_at,
        move_to_xy_m=move_to_xy,
        carriers=carriers,
    )


def _draw_camera(world: World, rng: np.random.Generator) -> CameraSample:
    part, mount = world.camera, world.workcell.camera
    believed = camera_rotation(np.array(mount.position_m), np.array(mount.look_at_m))
    position = np.array(mount.position_m) + draw3(part.position_error_m, rng)
    angles = np.deg2rad(draw3(part.rotation_error_deg, rng))
    fov = part.vertical_fov_deg + part.fov_error_deg.draw(rng)
    return CameraSample(position, believed @ small_rotation(angles), fov)


def small_rotation(angles_rad: FloatArray) -> FloatArray:
    """Return the matrix (3, 3) of a rotation vector (3,) [rad], by Rodrigues' formula."""
    angle = float(np.linalg.norm(angles_rad))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = angles_rad / angle
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * (cross @ cross)


def ground_to_keep_clear(
    world: World, task: Task, objects_m: Mapping[str, FloatArray], goal_m: FloatArray
) -> tuple[Corridor, ...]:
    """Return where no distractor may stand with the objects (3,) there and the goal (3,) in the task's frame."""
    if task.main_object is None:
        return ()
    object_m, goal_xy = objects_m[task.main_object], task.goal_in_base(goal_m, objects_m)[:2]
    clearance_m = world.distractors.clearance_m
    others = [each[:2] for name, each in objects_m.items() if name != task.main_object]
    camera_xy = np.array(world.workcell.camera.position_m[:2])
    main = corridors(object_m[:2], goal_xy, camera_xy, clearance_m)
    return (*main, *(Corridor(xy, xy, clearance_m) for xy in others))


def _draw_dynamics(
    world: World, main: ObjectConfig, rng: np.random.Generator
) -> tuple[DynamicsSample, ObjectPhysics]:
    """Return the robot's and the table's dynamics, and those of the main object, which are drawn among them."""
    robot = world.robot
    per_joint = range(len(ARM.joint_names))
    stiffness = np.array([robot.servo_stiffness_factor.draw(rng) for _ in per_joint])
    damping = np.array([robot.joint_damping_factor.draw(rng) for _ in per_joint])
    offset_rad = np.deg2rad([robot.joint_offset_deg.draw(rng) for _ in per_joint])
    table_height_m = world.workcell.table.height_m.draw(rng)
    physics = _draw_physics(main, rng)
    armature = np.array([robot.joint_armature_factor.draw(rng) for _ in per_joint])
    return DynamicsSample(stiffness, damping, armature, offset_rad, table_height_m), physics


def _draw_physics(config: ObjectConfig, rng: np.random.Generator) -> ObjectPhysics:
    half, height = config.half_size_m.draw(rng), config.height_factor.draw(rng)
    return ObjectPhysics(
        half_extents_m=np.array([half, half, half * height]),
        mass_kg=config.mass_kg.draw(rng),
        friction=config.friction.draw(rng),
        drag=config.drag.draw(rng),
        shape="box",
        contact_time_s=config.contact_time_s.draw(rng),
        contact_impedance=config.contact_impedance.draw(rng),
    )


def _shaped(config: ObjectConfig, physics: ObjectPhysics, rng: np.random.Generator) -> ObjectPhysics:
    """Return ``physics`` in one of the shapes that ``config`` names."""
    chosen = config.shape[int(rng.integers(len(config.shape)))]
    width, height = config.slab_width_factor.draw(rng), config.slab_height_factor.draw(rng)
    if chosen == "slab":
        return replace(physics, half_extents_m=physics.half_extents_m * [width, width, height])
    return replace(physics, shape=chosen)


def _draw_encoders(world: World, rng: np.random.Generator) -> EncoderSample:
    robot = world.robot
    return EncoderSample(
        step_rad=math.radians(robot.encoder_step_deg.draw(rng)),
        noise_rad=math.radians(robot.encoder_noise_deg.draw(rng)),
        velocity_noise_rad_s=math.radians(robot.velocity_noise_deg_s.draw(rng)),
        seed=int(rng.integers(2**31)),
    )
