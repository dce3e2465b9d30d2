"""From a trained actor to a policy bundle with its provenance and golden episodes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fetch_sim2real import __version__
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.limits import DEFAULT_PROFILE
from fetch_sim2real.common.ranges import Range, box_of
from fetch_sim2real.control.action import ACTION_SCALE_M, target_box_of
from fetch_sim2real.episode import ClosedLoop
from fetch_sim2real.graph import BASE_FRAME, COLOR_OPTICAL_FRAME
from fetch_sim2real.perception.camera import Pose, camera_rotation
from fetch_sim2real.perception.observe import Observation
from fetch_sim2real.policy.bundle import save_bundle
from fetch_sim2real.policy.golden import record_golden
from fetch_sim2real.policy.manifest import (
    FORMAT_VERSION,
    ActionRecord,
    CameraRecord,
    GoalRecord,
    LatencyRecord,
    ManifestContent,
    PoseRecord,
    TrainingRecord,
)
from fetch_sim2real.policy.network import Actor
from fetch_sim2real.policy.onnx_network import OnnxNetwork
from fetch_sim2real.sim.world_file import World
from fetch_sim2real.tasks.base import Task
from fetch_sim2real.timing import CONTROL_RATE_HZ
from fetch_sim2real.training.latency_randomization import NO_ADDED_LATENCY, LatencyRandomization
from fetch_sim2real.training.rollout import observations_of_episode
from fetch_sim2real.training.seeds import training_seeds
from fetch_sim2real.types import FloatArray

# Two short episodes with a reset between them.
GOLDEN_EPISODES, GOLDEN_STEPS = 2, 12


def export_bundle(
    output: Path, actor: Actor, world: World, loop: ClosedLoop, run_seed: int, command: str, steps: int,
    latency_randomization: LatencyRandomization = NO_ADDED_LATENCY,
) -> None:  # fmt: skip
    """Write the bundle; its success is measured afterwards through the ROS graph."""
    actor.eval()
    seeds = training_seeds(run_seed, "golden")
    observations: list[Observation] = []
    reset: list[bool] = []
    for _ in range(GOLDEN_EPISODES):
        episode = observations_of_episode(loop, actor, next(seeds), GOLDEN_STEPS)
        observations += episode
        reset += [index == 0 for index in range(len(episode))]
    manifest = manifest_of(actor, world, loop.sim.task, run_seed, command, steps, latency_randomization)
    save_bundle(output, manifest, actor, record_golden(actor, observations, reset))


def manifest_of(
    actor: Actor | OnnxNetwork, world: World, task: Task, run_seed: int, command: str, steps: int,
    latency_randomization: LatencyRandomization = NO_ADDED_LATENCY,
) -> ManifestContent:  # fmt: skip
    """Return what a manifest says of ``actor``, trained on ``task`` in ``world`` with ``latency_randomization``.

    Success is measured later.
    """
    lower, upper = goal_box(world, task)
    target_lower, target_upper = target_box_of(world.workcell)
    camera, mount = world.camera, world.workcell.camera
    believed = Pose(
        np.array(mount.position_m), camera_rotation(np.array(mount.position_m), np.array(mount.look_at_m))
    )
    rotation = np.deg2rad([_reach(axis) for axis in camera.rotation_error_deg])
    return ManifestContent(
        format_version=FORMAT_VERSION,
        task=task.name,
        actor=actor.spec,
        observation=actor.observation,
        camera=CameraRecord(
            base_T_camera=PoseRecord.of(believed),
            position_range_m=tuple(_reach(axis) for axis in camera.position_error_m),
            rotation_range_rad=float(np.linalg.norm(rotation)),
        ),
        goal=GoalRecord(
            frame=task.goal_frame,
            # A goal in the camera's frame can be turned into one in base_link, not into an offset from a block.
            accepted_frames=(BASE_FRAME, COLOR_OPTICAL_FRAME) if task.goal_frame == BASE_FRAME else (task.goal_frame,),
            lower_m=tuple(lower.tolist()),
            upper_m=tuple(upper.tolist()),
        ),
        joint_order=ARM.joint_names,
        action=ActionRecord(
            scale_m=ACTION_SCALE_M,
            gripper="controlled" if task.controls_gripper else "blocked",
            lower_m=tuple(target_lower.tolist()),
            upper_m=tuple(target_upper.tolist()),
        ),
        control_rate_hz=CONTROL_RATE_HZ,
        limit_profile=DEFAULT_PROFILE,
        latency=LatencyRecord(
            camera_s=_pair(world.timing.camera_latency_s, latency_randomization.latest_camera_s),
            command_s=_pair(world.timing.command_latency_s, latency_randomization.latest_command_s),
        ),
        torso_height_m=world.workcell.torso_height_m,
        training=TrainingRecord(
            command=command, seed=run_seed, code_version=__version__, steps=steps, world_file=world.name
        ),
        success=None,
    )


def goal_box(world: World, task: Task) -> tuple[FloatArray, FloatArray]:
    """Lower and upper corner (3,) [m] of the goals that ``world`` draws, heights in the air included."""
    part = world.episode_of(task)
    lower, upper = box_of(part.goal_m)
    if part.air_share > 0.0:
        lower[2], upper[2] = min(lower[2], part.air_z_m.low), max(upper[2], part.air_z_m.high)
    return lower, upper


def _reach(axis: Range) -> float:
    return max(abs(axis.low), abs(axis.high))


def _pair(axis: Range, more: float) -> tuple[float, float]:
    return axis.low, axis.high + more
