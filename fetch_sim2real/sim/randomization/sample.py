"""What one episode is made of: everything that a seed decides, drawn before it starts."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.ik import DifferentialIk
from fetch_sim2real.common.ranges import draw3
from fetch_sim2real.perception.camera import CameraModel, camera_rotation
from fetch_sim2real.sim.randomization.appearance import LooksDraw, draw_looks
from fetch_sim2real.sim.randomization.distractors import Corridor, corridors, draw_distractors
from fetch_sim2real.sim.randomization.start import draw_move, draw_start, target_goal_m
from fetch_sim2real.sim.sensors.rgbd import SensorDraw, draw_sensor
from fetch_sim2real.sim.world_file import ObjectPart, World
from fetch_sim2real.tasks.registry import Task
from fetch_sim2real.types import FloatArray


@dataclass(frozen=True)
class CameraDraw:
    """The true camera: position (3,) [m] and rotation (3, 3) of the optical frame in base_link, vertical FOV [deg]."""

    position_m: FloatArray
    rotation: FloatArray
    vertical_fov_deg: float

    def intrinsics(self, width: int, height: int) -> CameraModel:
        """Of its pictures of ``width`` x ``height``."""
        return CameraModel.from_fovy(width, height, float(np.deg2rad(self.vertical_fov_deg)))


@dataclass(frozen=True)
class ObjectDraw:
    """The thing on the table: half extents (3,) [m] of its box or cylinder, mass, sliding friction, drag [N s/m].

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
class DynamicsDraw:
    """Servo and contact parameters; factors and offsets per arm joint (n,)."""

    stiffness_factor: FloatArray
    damping_factor: FloatArray
    armature_factor: FloatArray
    joint_offset_rad: FloatArray
    table_height_m: float
    object: ObjectDraw

    @property
    def object_rest_z_m(self) -> float:
        """Height [m] of the object's centre when it lies on the table."""
        return self.table_height_m + float(self.object.half_extents_m[2])


@dataclass(frozen=True)
class EncoderDraw:
    """What joint encoders add: steps of position [rad], sigmas of position [rad] and velocity [rad/s], noise's seed."""

    step_rad: float
    noise_rad: float
    velocity_noise_rad_s: float
    seed: int


@dataclass(frozen=True)
class EpisodeDraw:
    """One episode: starts, goal, the true world, delays, and when and where the object would be moved.

    ``goal_m`` (3,) is in the task's goal frame. ``jitter_seed`` decides how much each frame is off by, up to
    ``publication_jitter_s``.
    """

    seed: int
    task: Task
    arm_start_rad: FloatArray
    object_xy_m: FloatArray
    object_yaw_rad: float
    goal_m: FloatArray
    camera: CameraDraw
    looks: LooksDraw
    sensor: SensorDraw
    dynamics: DynamicsDraw
    camera_latency_s: float
    command_latency_s: float
    depth_skew_s: float
    publication_jitter_s: float
    jitter_seed: int
    encoders: EncoderDraw
    move_at_s: float
    move_to_xy_m: FloatArray

    @property
    def object_position_m(self) -> FloatArray:
        """Centre (3,) of the object in base_link at the start."""
        return np.array([*self.object_xy_m, self.dynamics.object_rest_z_m])


def draw_episode(world: World, task: Task, seed: int, ik: DifferentialIk) -> EpisodeDraw:
    """Everything that ``seed`` decides for ``task`` in ``world``; the same seed always gives the same episode.

    Each section has a generator of its own, so that a change in one does not shift the others.
    """
    geometry, looks, sensor, camera, dynamics, timing, distractors, shape, encoders, instants = (
        np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(10)
    )
    thing = world.puck if task.object == "puck" else world.block
    dynamics_draw = _draw_dynamics(world, thing, dynamics)
    start = draw_start(world, task, geometry, ik, dynamics_draw.object_rest_z_m)
    yaw = np.deg2rad(thing.yaw_deg.draw(geometry))
    move_at = world.perturbation.move_block_at_s.draw(timing)
    move_to_xy = draw_move(world, task, geometry, ik, start)
    moved_m = np.array([*move_to_xy, start.object_m[2]])
    keep_clear = [
        corridor
        for object_m in (start.object_m, moved_m)
        for corridor in ground_to_keep_clear(world, task, object_m, start.goal_m)
    ]
    things = draw_distractors(world.distractors, thing.color_hsv[0], keep_clear, distractors)
    return EpisodeDraw(
        seed=seed,
        task=task,
        arm_start_rad=start.arm_rad,
        object_xy_m=start.object_m[:2],
        object_yaw_rad=float(yaw),
        goal_m=start.goal_m,
        camera=_draw_camera(world, camera),
        looks=draw_looks(
            world.table, world.floor, world.wall, world.links, world.light, thing.color_hsv, things, looks
        ),
        sensor=draw_sensor(world.sensor, sensor),
        # Last: starts and goals are the same whatever the shape.
        dynamics=replace(dynamics_draw, object=_shaped(thing, dynamics_draw.object, shape)),
        camera_latency_s=world.timing.camera_latency_s.draw(timing),
        command_latency_s=world.timing.command_latency_s.draw(timing),
        depth_skew_s=world.timing.depth_skew_s.draw(instants),
        publication_jitter_s=world.timing.publication_jitter_s.draw(instants),
        jitter_seed=int(instants.integers(2**31)),
        encoders=_draw_encoders(world, encoders),
        move_at_s=move_at,
        move_to_xy_m=move_to_xy,
    )


def _draw_camera(world: World, rng: np.random.Generator) -> CameraDraw:
    part, mount = world.camera, world.workcell.camera
    believed = camera_rotation(np.array(mount.position_m), np.array(mount.look_at_m))
    position = np.array(mount.position_m) + draw3(part.position_error_m, rng)
    angles = np.deg2rad(draw3(part.rotation_error_deg, rng))
    fov = part.vertical_fov_deg + part.fov_error_deg.draw(rng)
    return CameraDraw(position, believed @ small_rotation(angles), fov)


def small_rotation(angles_rad: FloatArray) -> FloatArray:
    """Rotation vector (3,) -> matrix, by Rodrigues' formula."""
    angle = float(np.linalg.norm(angles_rad))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = angles_rad / angle
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * (cross @ cross)


def ground_to_keep_clear(world: World, task: Task, object_m: FloatArray, goal_m: FloatArray) -> tuple[Corridor, ...]:
    """Where no distractor may stand with the object (3,) there and the goal (3,) in the task's frame."""
    if task.object is None:
        return ()
    goal_xy = target_goal_m(task, object_m, goal_m)[:2]
    camera_xy = np.array(world.workcell.camera.position_m[:2])
    return corridors(object_m[:2], goal_xy, camera_xy, world.distractors.clearance_m)


def _draw_dynamics(world: World, thing: ObjectPart, rng: np.random.Generator) -> DynamicsDraw:
    robot = world.robot
    per_joint = range(len(ARM.joint_names))
    return DynamicsDraw(
        stiffness_factor=np.array([robot.servo_stiffness_factor.draw(rng) for _ in per_joint]),
        damping_factor=np.array([robot.joint_damping_factor.draw(rng) for _ in per_joint]),
        joint_offset_rad=np.deg2rad([robot.joint_offset_deg.draw(rng) for _ in per_joint]),
        table_height_m=world.workcell.table.height_m.draw(rng),
        object=_draw_object(thing, rng),
        armature_factor=np.array([robot.joint_armature_factor.draw(rng) for _ in per_joint]),
    )


def _draw_object(part: ObjectPart, rng: np.random.Generator) -> ObjectDraw:
    half, height = part.half_size_m.draw(rng), part.height_factor.draw(rng)
    return ObjectDraw(
        half_extents_m=np.array([half, half, half * height]),
        mass_kg=part.mass_kg.draw(rng),
        friction=part.friction.draw(rng),
        drag=part.drag.draw(rng),
        shape="box",
        contact_time_s=part.contact_time_s.draw(rng),
        contact_impedance=part.contact_impedance.draw(rng),
    )


def _shaped(part: ObjectPart, thing: ObjectDraw, rng: np.random.Generator) -> ObjectDraw:
    """``thing`` in one of the shapes that ``part`` names."""
    chosen = part.shape[int(rng.integers(len(part.shape)))]
    width, height = part.slab_width_factor.draw(rng), part.slab_height_factor.draw(rng)
    if chosen == "slab":
        return replace(thing, half_extents_m=thing.half_extents_m * [width, width, height])
    return replace(thing, shape=chosen)


def _draw_encoders(world: World, rng: np.random.Generator) -> EncoderDraw:
    robot = world.robot
    return EncoderDraw(
        step_rad=math.radians(robot.encoder_step_deg.draw(rng)),
        noise_rad=math.radians(robot.encoder_noise_deg.draw(rng)),
        velocity_noise_rad_s=math.radians(robot.velocity_noise_deg_s.draw(rng)),
        seed=int(rng.integers(2**31)),
    )
