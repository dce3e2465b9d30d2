"""An episode of a suite once more, in one process and without ROS, for its pictures.

In lockstep the graph gives the same episode as one process does, so nothing has to be recorded while a suite runs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count

from fetch_sim2real.episode import ActionSettings, Arrival, ClosedLoop, EpisodeRunner, EpisodeStart, PolicyAgent, Step
from fetch_sim2real.evaluation.open_loop import policy_at
from fetch_sim2real.evaluation.recorded_episode import Moment
from fetch_sim2real.evaluation.suite import Case
from fetch_sim2real.paths import find_policy, worlds_dir
from fetch_sim2real.perception.camera import Pose
from fetch_sim2real.policy.bundle import load_bundle
from fetch_sim2real.policy.runtime import PolicyRuntime
from fetch_sim2real.sim.simulation import Outcome, Simulation
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.stack.options import DEFAULT_CAMERA_SIZE
from fetch_sim2real.tasks.base import GRIPPER
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.types import RgbdFrame


@dataclass(frozen=True)
class Resimulation:
    """What was seen, from the camera's true pose at the start, and how it ended."""

    moments: tuple[Moment, ...]
    base_T_camera: Pose
    outcome: Outcome


def resimulate(case: Case, task_name: str, seed: int, keep_every: int) -> Resimulation:
    """Run one episode of ``case``, keeping every ``keep_every``-th frame."""
    bundle = load_bundle(find_policy(case.policy))
    world, task = load_world(case.world, worlds_dir()), find_task(task_name)
    sim = Simulation(world, task, DEFAULT_CAMERA_SIZE, engine=case.engine)
    loop = ClosedLoop(sim, ActionSettings.of_bundle(bundle.manifest))
    runner, runtime = EpisodeRunner([loop]), PolicyRuntime.of_bundle(bundle, policy_at(bundle, case.look))
    agent = PolicyAgent(runtime, RgbdFrame.blanked) if case.blank_image else PolicyAgent(runtime)
    moments: list[Moment] = []
    frames = count()

    def watch(step: Step) -> None:
        if next(frames) % keep_every == 0:
            moments.append(moment_of(step.arrival))

    try:
        (outcome,) = runner.run(agent, [EpisodeStart(seed, case.conditions)], watch)
        first_s = moments[0].time_s if moments else 0.0
        shown = tuple(replace(moment, time_s=moment.time_s - first_s) for moment in moments)
        camera = loop.sim.episode.camera
        return Resimulation(shown, Pose(camera.position_m, camera.rotation), outcome)
    finally:
        runner.close()


def moment_of(arrival: Arrival) -> Moment:
    """Return a frame that has come, and what was true when it was taken; its time is its stamp."""
    captured, sim = arrival.captured, arrival.loop.sim
    assert captured.frame is not None
    truth = captured.truth
    goal_m = sim.task.goal_in_base(sim.goal_m, truth.objects_m)
    target_m = truth.grip_m if sim.task.target == GRIPPER else truth.objects_m[sim.task.target]
    return Moment(captured.stamp_ns * 1e-9, captured.frame, sim.camera_model, target_m, goal_m)
