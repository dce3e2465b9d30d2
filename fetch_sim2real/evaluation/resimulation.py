"""An episode of a suite once more, in one process and without ROS, for its pictures.

In lockstep the graph gives the same episode as one process does, so nothing has to be recorded while a suite runs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fetch_sim2real import graph
from fetch_sim2real.episode import ActionSettings, ClosedLoop
from fetch_sim2real.evaluation.open_loop import policy_at
from fetch_sim2real.evaluation.recorded_episode import Moment
from fetch_sim2real.evaluation.suite import Case
from fetch_sim2real.paths import find_policy, worlds_dir
from fetch_sim2real.perception.camera import Pose
from fetch_sim2real.policy.bundle import load_bundle
from fetch_sim2real.policy.runtime import PolicyRuntime, Sensed
from fetch_sim2real.sim.simulation import Captured, Outcome, Simulation
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.types import RgbdFrame

CAMERA_SIZE = (424, 240)


@dataclass(frozen=True)
class Replay:
    """What was seen, from the camera's true pose at the start, and how it ended."""

    moments: tuple[Moment, ...]
    base_T_camera: Pose
    outcome: Outcome


def replay(case: Case, task_name: str, seed: int, keep_every: int) -> Replay:
    """Run one episode of ``case``, keeping every ``keep_every``-th frame."""
    bundle = load_bundle(find_policy(case.policy))
    world, task = load_world(case.world, worlds_dir()), find_task(task_name)
    loop = ClosedLoop(Simulation(world, task, CAMERA_SIZE), ActionSettings.of_bundle(bundle.manifest))
    try:
        draw = loop.reset(seed, conditions=case.conditions)
        runtime, count = PolicyRuntime.of_bundle(bundle, policy_at(bundle, case.look)), 0
        moments: list[Moment] = []
        while (captured := loop.next_frame()) is not None:
            assert captured.frame is not None
            frame = _black(captured.frame) if case.blank_image else captured.frame
            now = Sensed(frame, loop.sim.camera_model, loop.joints_at(captured), loop.sim.goal_m, loop.setpoint)
            loop.act(runtime.act([now])[0], captured)
            if count % keep_every == 0:
                moments.append(_moment(loop, captured))
            count += 1
        first_s = moments[0].time_s if moments else 0.0
        shown = tuple(replace(moment, time_s=moment.time_s - first_s) for moment in moments)
        return Replay(shown, Pose(draw.camera.position_m, draw.camera.rotation), loop.sim.outcome())
    finally:
        loop.sim.close()


def _moment(loop: ClosedLoop, captured: Captured) -> Moment:
    assert captured.frame is not None
    sim, truth = loop.sim, captured.truth
    goal_m = sim.goal_m + truth.object_m if sim.task.goal_frame == graph.BLOCK_FRAME else sim.goal_m
    target_m = truth.object_m if sim.task.target == "object" else truth.grip_m
    return Moment(captured.stamp_ns * 1e-9, captured.frame, sim.camera_model, target_m, goal_m)


def _black(frame: RgbdFrame) -> RgbdFrame:
    return RgbdFrame(frame.stamp_ns, np.zeros_like(frame.rgb), np.zeros_like(frame.depth_mm))
