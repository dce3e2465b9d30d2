"""What one episode is made of: everything that a seed decides, drawn before it starts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.ik import DifferentialIk
from fetch_sim2real.common.ranges import draw3, rgb_of
from fetch_sim2real.perception.camera import CameraModel, camera_rotation
from fetch_sim2real.sim.randomization.appearance import AppearanceSample, draw_appearance
from fetch_sim2real.sim.randomization.distractors import Corridor, corridors, draw_distractors
from fetch_sim2real.sim.randomization.objects import ObjectPhysics, ObjectSample, draw_color_hsv, draw_physics, shaped
from fetch_sim2real.sim.randomization.obstacles import ObstacleSample, Surroundings, draw_obstacles
from fetch_sim2real.sim.randomization.robot import MechanicsSample, draw_mechanics
from fetch_sim2real.sim.randomization.start import draw_move, draw_start
from fetch_sim2real.sim.randomization.timing import InterruptionSample, draw_interruptions
from fetch_sim2real.sim.randomization.unrest import UnrestSample, draw_unrest
from fetch_sim2real.sim.sensors.rgbd import SensorSample, draw_sensor
from fetch_sim2real.sim.world_file import World
from fetch_sim2real.tasks.base import ObjectConfig, Task
from fetch_sim2real.tasks.carrying import Carrier
from fetch_sim2real.types import FloatArray

# Sections that have a generator each; a new one comes last, so that the others' stay the same.
_STREAMS: Final = 19


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
class DynamicsSample:
    """Servo parameters, the table's height, links and fingers; factors and offsets per arm joint (n,)."""

    stiffness_factor: FloatArray
    damping_factor: FloatArray
    armature_factor: FloatArray
    joint_offset_rad: FloatArray
    table_height_m: float
    mechanics: MechanicsSample


@dataclass(frozen=True)
class EncoderSample:
    """What joint encoders add: steps of position [rad], sigmas of position [rad] and velocity [rad/s], noise's seed."""

    step_rad: float
    noise_rad: float
    velocity_noise_rad_s: float
    seed: int


@dataclass(frozen=True)
class EpisodeSample:
    """One episode: starts, goal, the true world, delays, when and where the object would be moved, what carries
    objects along, by name, what else goes on, and what is in the way.

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
    interruptions: InterruptionSample
    unrest: UnrestSample
    obstacles: tuple[ObstacleSample, ...]

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
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(_STREAMS)]
    geometry, appearance, sensor, camera, dynamics, timing, distractors, shape, *streams = streams
    encoders, instants, further, way, mechanics, nature, interruptions, unrest, video, hues, blocking = streams
    configs, main = world.objects_of(task), task.main_body
    others = {name: config for name, config in configs.items() if name != main}
    dynamics_draw, physics = _draw_dynamics(world, configs[main], dynamics, mechanics, nature)
    unshaped = {main: physics} | {name: draw_physics(config, further, nature) for name, config in others.items()}
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
        keep_clear += _ways_of(carrier, world)
    hues_deg = world.hues_of(task)
    on_table = draw_distractors(world.distractors, hues_deg, keep_clear, distractors)
    # Last: starts and goals are the same whatever the shape.
    bodies = {main: shaped(configs[main], unshaped[main], shape)}
    bodies |= {name: shaped(config, unshaped[name], further) for name, config in others.items()}
    colors_hsv = {name: draw_color_hsv(config, hues) for name, config in configs.items()}
    object_rgb = {name: rgb_of(draw3(colors_hsv[name], further)) for name in others}
    objects = {
        name: ObjectSample(
            bodies[name],
            np.array([*start.objects_m[name][:2], table_m + float(bodies[name].half_extents_m[2])]),
            yaw_rad[name],
        )
        for name in configs
    }
    surroundings = Surroundings(
        objects=objects,
        main=objects[main],
        moved_xy_m=move_to_xy,
        grip_xy_m=start.grip_m[:2],
        goal_xy_m=task.goal_in_base(start.goal_m, start.objects_m)[:2],
        camera_xy_m=np.array(world.workcell.camera.position_m[:2]),
        hues_deg=hues_deg,
        keep_clear=[way for carrier in carriers.values() for way in _ways_of(carrier, world)],
        distractors=on_table,
        table=world.workcell.table,
        table_height_m=table_m,
    )
    return EpisodeSample(
        seed=seed,
        task=task,
        arm_start_rad=start.arm_rad,
        objects=objects,
        goal_m=start.goal_m,
        camera=_draw_camera(world, camera),
        appearance=draw_appearance(
            world.table,
            world.floor,
            world.wall,
            world.links,
            world.light,
            (main, colors_hsv[main]),
            object_rgb,
            on_table,
            appearance,
        ),
        sensor=draw_sensor(world.sensor, sensor, video),
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
        interruptions=draw_interruptions(world.timing, interruptions),
        unrest=draw_unrest(world.pushes, world.drift, episode_s, unrest),
        obstacles=draw_obstacles(world.obstacles, surroundings, blocking),
    )


def _ways_of(carrier: Carrier, world: World) -> list[Corridor]:
    """Ground that a carrier takes objects along."""
    return [Corridor(one, other, world.distractors.clearance_m) for one, other in pairwise(carrier.ground_m())]


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
    world: World,
    main: ObjectConfig,
    rng: np.random.Generator,
    mechanics_rng: np.random.Generator,
    nature_rng: np.random.Generator,
) -> tuple[DynamicsSample, ObjectPhysics]:
    """Return the robot's and the table's dynamics, and those of the main object, which are drawn among them."""
    robot = world.robot
    per_joint = range(len(ARM.joint_names))
    stiffness = np.array([robot.servo_stiffness_factor.draw(rng) for _ in per_joint])
    damping = np.array([robot.joint_damping_factor.draw(rng) for _ in per_joint])
    offset_rad = np.deg2rad([robot.joint_offset_deg.draw(rng) for _ in per_joint])
    table_height_m = world.workcell.table.height_m.draw(rng)
    physics = draw_physics(main, rng, nature_rng)
    armature = np.array([robot.joint_armature_factor.draw(rng) for _ in per_joint])
    mechanics = draw_mechanics(robot, mechanics_rng)
    return DynamicsSample(stiffness, damping, armature, offset_rad, table_height_m, mechanics), physics


def _draw_encoders(world: World, rng: np.random.Generator) -> EncoderSample:
    robot = world.robot
    return EncoderSample(
        step_rad=math.radians(robot.encoder_step_deg.draw(rng)),
        noise_rad=math.radians(robot.encoder_noise_deg.draw(rng)),
        velocity_noise_rad_s=math.radians(robot.velocity_noise_deg_s.draw(rng)),
        seed=int(rng.integers(2**31)),
    )
