"""What one episode is made of: everything that a seed decides, drawn before it starts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from fetch_sim2real.errors import WorldFileError
from fetch_sim2real.robot.ik import HOME_POSITION_RAD, DifferentialIk
from fetch_sim2real.robot.joints import ARM_JOINTS
from fetch_sim2real.sim.ranges import box_of, draw3
from fetch_sim2real.sim.scene import camera_rotation
from fetch_sim2real.sim.world_file import World
from fetch_sim2real.types import FloatArray

_MAX_TRIES: Final = 200


@dataclass(frozen=True)
class CameraDraw:
    """The true camera: position (3,) [m] and rotation (3, 3) of the optical frame in base_link, vertical FOV [deg]."""

    position_m: FloatArray
    rotation: FloatArray
    vertical_fov_deg: float


@dataclass(frozen=True)
class LooksDraw:
    """Colours and light."""

    table_color: FloatArray
    block_color: FloatArray
    floor_color: FloatArray
    light_direction: FloatArray
    diffuse: float
    ambient: float


@dataclass(frozen=True)
class SensorDraw:
    """Image noise of the episode, and the seed of its random pixels."""

    depth_noise_m: float
    depth_dropout: float
    color_noise: float
    brightness: float
    seed: int


@dataclass(frozen=True)
class DynamicsDraw:
    """Servo and contact parameters; factors and offsets per arm joint (7,)."""

    stiffness_factor: FloatArray
    damping_factor: FloatArray
    joint_offset_rad: FloatArray
    table_height_m: float
    block_half_size_m: float
    block_mass_kg: float
    block_friction: float


@dataclass(frozen=True)
class EpisodeDraw:
    """One episode: starts, goal, the true world, delays, and when and where the block would be moved."""

    seed: int
    arm_start_rad: FloatArray
    block_xy_m: FloatArray
    block_yaw_rad: float
    goal_offset_m: FloatArray
    camera: CameraDraw
    looks: LooksDraw
    sensor: SensorDraw
    dynamics: DynamicsDraw
    camera_latency_s: float
    command_latency_s: float
    move_at_s: float
    move_to_xy_m: FloatArray

    @property
    def block_position_m(self) -> FloatArray:
        """Centre (3,) of the block in base_link at the start."""
        return np.array([*self.block_xy_m, self.dynamics.table_height_m + self.dynamics.block_half_size_m])


def draw_episode(world: World, seed: int, ik: DifferentialIk) -> EpisodeDraw:
    """Everything that ``seed`` decides in ``world``; the same seed always gives the same episode.

    Each section has a generator of its own, so that a change in one does not shift the others.
    """
    geometry, looks, sensor, camera, dynamics, timing = (
        np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(6)
    )
    dynamics_draw = _draw_dynamics(world, dynamics)
    start = _draw_start(world, geometry, ik, dynamics_draw)
    yaw = np.deg2rad(world.block.yaw_deg.draw(geometry))
    move_at = world.perturbation.move_block_at_s.draw(timing)
    return EpisodeDraw(
        seed=seed,
        arm_start_rad=start.arm_rad,
        block_xy_m=start.block_xy_m,
        block_yaw_rad=float(yaw),
        goal_offset_m=start.offset_m,
        camera=_draw_camera(world, camera),
        looks=_draw_looks(world, looks),
        sensor=_draw_sensor(world, sensor),
        dynamics=dynamics_draw,
        camera_latency_s=world.timing.camera_latency_s.draw(timing),
        command_latency_s=world.timing.command_latency_s.draw(timing),
        move_at_s=move_at,
        move_to_xy_m=_draw_far_block(world, geometry, ik, start),
    )


@dataclass(frozen=True)
class _Start:
    """Arm, block and goal of an episode's beginning; ``goal_m`` is where the gripper is wanted."""

    arm_rad: FloatArray
    block_xy_m: FloatArray
    block_z_m: float
    offset_m: FloatArray

    @property
    def goal_m(self) -> FloatArray:
        return np.array([*self.block_xy_m, self.block_z_m]) + self.offset_m


def _draw_start(world: World, rng: np.random.Generator, ik: DifferentialIk, dynamics: DynamicsDraw) -> _Start:
    block_z = dynamics.table_height_m + dynamics.block_half_size_m
    for _ in range(_MAX_TRIES):
        grip = draw3(world.robot.start_grip_m, rng)
        arm = ik.reach(HOME_POSITION_RAD, grip)
        if arm is None:
            continue
        start = _Start(arm, _draw_block_xy(world, rng), block_z, draw3(world.goal.offset_m, rng))
        far_enough = np.linalg.norm(start.goal_m - grip) >= world.goal.min_start_distance_m
        if far_enough and _is_possible(world, ik, arm, start.goal_m):
            return start
    raise WorldFileError(
        f"world '{world.name}': no start and goal found in {_MAX_TRIES} draws; robot.start_grip_m must be within the "
        f"arm's reach, block.spawn plus goal.offset_m within reach and robot.workspace_m, and "
        f"goal.min_start_distance_m ({world.goal.min_start_distance_m} m) must leave room"
    )


def _draw_far_block(world: World, rng: np.random.Generator, ik: DifferentialIk, start: _Start) -> FloatArray:
    for _ in range(_MAX_TRIES):
        moved = _draw_block_xy(world, rng)
        far_enough = np.linalg.norm(moved - start.block_xy_m) >= world.perturbation.move_block_min_distance_m
        if far_enough and _is_possible(world, ik, start.arm_rad, replace(start, block_xy_m=moved).goal_m):
            return moved
    raise WorldFileError(
        f"world '{world.name}': the block cannot be moved perturbation.move_block_min_distance_m "
        f"({world.perturbation.move_block_min_distance_m} m) away within its spawn region and the arm's reach"
    )


def _draw_block_xy(world: World, rng: np.random.Generator) -> FloatArray:
    return np.array([world.block.spawn_x_m.draw(rng), world.block.spawn_y_m.draw(rng)])


def _is_possible(world: World, ik: DifferentialIk, arm_rad: FloatArray, goal_m: FloatArray) -> bool:
    """Whether the gripper, pointing down, can be at ``goal_m``."""
    lower, upper = box_of(world.robot.workspace_m)
    return bool(np.all(goal_m >= lower) and np.all(goal_m <= upper)) and ik.reach(arm_rad, goal_m) is not None


def _draw_camera(world: World, rng: np.random.Generator) -> CameraDraw:
    part = world.camera
    believed = camera_rotation(np.array(part.position_m), np.array(part.look_at_m))
    position = np.array(part.position_m) + draw3(part.position_error_m, rng)
    angles = np.deg2rad(draw3(part.rotation_error_deg, rng))
    fov = part.vertical_fov_deg + part.fov_error_deg.draw(rng)
    return CameraDraw(position, believed @ _small_rotation(angles), fov)


def _small_rotation(angles_rad: FloatArray) -> FloatArray:
    """Rotation vector (3,) -> matrix, by Rodrigues' formula."""
    angle = float(np.linalg.norm(angles_rad))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = angles_rad / angle
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * (cross @ cross)


def _draw_looks(world: World, rng: np.random.Generator) -> LooksDraw:
    return LooksDraw(
        table_color=draw3(world.table.color, rng),
        block_color=draw3(world.block.color, rng),
        floor_color=draw3(world.light.floor_color, rng),
        light_direction=draw3(world.light.direction, rng),
        diffuse=world.light.diffuse.draw(rng),
        ambient=world.light.ambient.draw(rng),
    )


def _draw_sensor(world: World, rng: np.random.Generator) -> SensorDraw:
    part = world.sensor
    return SensorDraw(
        depth_noise_m=part.depth_noise_m.draw(rng),
        depth_dropout=part.depth_dropout.draw(rng),
        color_noise=part.color_noise.draw(rng),
        brightness=part.brightness.draw(rng),
        seed=int(rng.integers(2**31)),
    )


def _draw_dynamics(world: World, rng: np.random.Generator) -> DynamicsDraw:
    robot, block = world.robot, world.block
    per_joint = range(len(ARM_JOINTS))
    return DynamicsDraw(
        stiffness_factor=np.array([robot.servo_stiffness_factor.draw(rng) for _ in per_joint]),
        damping_factor=np.array([robot.joint_damping_factor.draw(rng) for _ in per_joint]),
        joint_offset_rad=np.deg2rad([robot.joint_offset_deg.draw(rng) for _ in per_joint]),
        table_height_m=world.table.height_m.draw(rng),
        block_half_size_m=block.half_size_m.draw(rng),
        block_mass_kg=block.mass_kg.draw(rng),
        block_friction=block.friction.draw(rng),
    )
