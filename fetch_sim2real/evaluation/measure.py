"""Success of a bundle over many seeds in one process, without ROS: same episodes as through the graph in lockstep.

For rows of a table that would take hours through the graph. A test compares the two paths command by command.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np

from fetch_sim2real.arm.ik import DifferentialIk
from fetch_sim2real.episode import ActionSettings, ClosedLoop
from fetch_sim2real.evaluation.scripted import ScriptedPolicy
from fetch_sim2real.perception.observe import ACTION_SIZE, Observation, observe
from fetch_sim2real.perception.preprocess import Image
from fetch_sim2real.policy.bundle import PolicyBundle
from fetch_sim2real.policy.look_rates import EVERY_FRAME, Look
from fetch_sim2real.policy.runner import Policy
from fetch_sim2real.sim.disturbances.conditions import NO_CONDITIONS, Conditions
from fetch_sim2real.sim.outcome import Outcome
from fetch_sim2real.sim.randomization.sample import draw_episode
from fetch_sim2real.sim.simulation import SimWorld
from fetch_sim2real.sim.world_file import World
from fetch_sim2real.tasks.registry import Task, find_task
from fetch_sim2real.types import RgbdFrame

Control = Literal[
    "none", "blank-image", "foreign-pictures", "do-nothing", "look-once", "look-each-second", "scripted"
]
CONTROLS: Final[tuple[Control, ...]] = get_args(Control)
_LOOKS: Final[dict[Control, Look]] = {"look-once": "once", "look-each-second": "each-second"}
_CAMERA_SIZE: Final = (424, 240)


@dataclass(frozen=True)
class Case:
    """What is measured: the bundle's task in ``world``, with the object moved on the way or not, under a control.

    Some controls replace what the actor sees or does, and must fail: black pictures without depth, the pictures of the
    episode before, no motion at all. The others are baselines: the actor looks once, or each second
    (``policy.looking``), or the task's scripted demonstrator acts on the positions that the actor's encoder sees.
    """

    world: World
    control: Control = "none"
    move_block: bool = False
    conditions: Conditions = NO_CONDITIONS


def measure(bundle: PolicyBundle, case: Case, seeds: Sequence[int]) -> Iterator[Outcome]:
    """The outcome of each seed's episode, as it ends."""
    settings = ActionSettings.of_bundle(bundle.manifest)
    size = None if case.control == "do-nothing" else _CAMERA_SIZE
    loop = ClosedLoop(SimWorld(case.world, find_task(bundle.manifest.task), size), settings)
    pictures: list[Image] = []
    if case.control == "foreign-pictures":
        pictures = _run(loop, bundle, case, seeds[0] - 1, deque())
    for seed in seeds:
        if case.control == "do-nothing":
            _stand_still(loop, case, seed)
        else:
            pictures = _run(loop, bundle, case, seed, deque(pictures if case.control == "foreign-pictures" else ()))
        yield loop.sim.outcome()
    loop.sim.close()


def goals_in_air(world: World, task: Task, seeds: Sequence[int]) -> set[int]:
    """Those of the seeds whose episodes have their goal in the air; none where a task knows no such goals."""
    part, ik = world.task(task.name), DifferentialIk(world.workcell.torso_height_m)
    if part.air_share == 0.0:
        return set()
    on_table_m = part.goal_m[2].high
    return {seed for seed in seeds if draw_episode(world, task, seed, ik).goal_m[2] > on_table_m}


def _run(loop: ClosedLoop, bundle: PolicyBundle, case: Case, seed: int, foreign: deque[Image]) -> list[Image]:
    """Run an episode, on ``foreign`` pictures as long as there are some; returns its own pictures."""
    loop.reset(seed, case.move_block, case.conditions)
    policy, spec = _actor(bundle, case.control), bundle.manifest.observation
    own: list[Image] = []
    while (captured := loop.next_frame()) is not None:
        assert captured.frame is not None
        frame = _blank(captured.frame) if case.control == "blank-image" else captured.frame
        observation = observe(
            spec, frame, loop.sim.camera_model, loop.joints_at(captured), loop.setpoint.position, loop.sim.goal_m,
            policy.last_actions, loop.grip_position_m,
        )  # fmt: skip
        own.append(observation.image)
        if foreign:
            observation = Observation(foreign.popleft(), observation.vector)
        loop.act(policy.act(observation), captured)
    return own


def _actor(bundle: PolicyBundle, control: Control) -> Policy | ScriptedPolicy:
    if control == "scripted":
        return ScriptedPolicy(bundle)
    return Policy(bundle, _LOOKS.get(control, EVERY_FRAME))


def _stand_still(loop: ClosedLoop, case: Case, seed: int) -> None:
    loop.reset(seed, case.move_block, case.conditions)
    while (captured := loop.next_frame()) is not None:
        loop.joints_at(captured)
        loop.act(np.zeros(ACTION_SIZE), captured)


def _blank(frame: RgbdFrame) -> RgbdFrame:
    return RgbdFrame(frame.stamp_ns, np.zeros_like(frame.rgb), np.zeros_like(frame.depth_mm))
