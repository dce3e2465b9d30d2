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
from fetch_sim2real.evaluation.open_loop import policy_at
from fetch_sim2real.evaluation.scripted import ScriptedPolicy
from fetch_sim2real.perception.observe import ACTION_SIZE, Observation
from fetch_sim2real.perception.preprocess import Image
from fetch_sim2real.policy.bundle import PolicyBundle
from fetch_sim2real.policy.look_rate import EVERY_FRAME, LookRate
from fetch_sim2real.policy.runtime import Policy, PolicyRuntime, Sensed
from fetch_sim2real.sim.disturbances.conditions import NO_CONDITIONS, Conditions
from fetch_sim2real.sim.outcome import Outcome
from fetch_sim2real.sim.randomization.sample import draw_episode
from fetch_sim2real.sim.simulation import Simulation
from fetch_sim2real.sim.world_file import World
from fetch_sim2real.tasks.registry import Task, find_task
from fetch_sim2real.types import FloatArray, RgbdFrame

Control = Literal[
    "none", "blank-image", "foreign-pictures", "do-nothing", "look-once", "look-each-second", "scripted"
]
CONTROLS: Final[tuple[Control, ...]] = get_args(Control)
_LOOKS: Final[dict[Control, LookRate]] = {"look-once": "once", "look-each-second": "each-second"}
_CAMERA_SIZE: Final = (424, 240)


@dataclass(frozen=True)
class Case:
    """What is measured: the bundle's task in ``world``, with the object moved on the way or not, under a control.

    Some controls replace what the actor sees or does, and must fail: black pictures without depth, the pictures of the
    episode before, no motion at all. The others are baselines: the actor looks once, or each second
    (``evaluation.open_loop``), or the task's scripted demonstrator acts on the positions that the actor's encoder sees.
    """

    world: World
    control: Control = "none"
    move_block: bool = False
    conditions: Conditions = NO_CONDITIONS


def measure(bundle: PolicyBundle, case: Case, seeds: Sequence[int]) -> Iterator[Outcome]:
    """The outcome of each seed's episode, as it ends."""
    settings = ActionSettings.of_bundle(bundle.manifest)
    size = None if case.control == "do-nothing" else _CAMERA_SIZE
    loop = ClosedLoop(Simulation(case.world, find_task(bundle.manifest.task), size), settings)
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
    policy = _SwappedPictures(_policy(bundle, case.control), foreign)
    runtime = PolicyRuntime.of_bundle(bundle, policy)
    while (captured := loop.next_frame()) is not None:
        assert captured.frame is not None
        frame = _blank(captured.frame) if case.control == "blank-image" else captured.frame
        now = Sensed(frame, loop.sim.camera_model, loop.joints_at(captured), loop.sim.goal_m, loop.setpoint)
        loop.act(runtime.act([now])[0], captured)
    return policy.own


class _SwappedPictures:
    """Shows a policy ``foreign`` pictures as long as there are some; keeps its ``own``. One environment."""

    def __init__(self, policy: Policy, foreign: deque[Image]) -> None:
        self._policy, self._foreign = policy, foreign
        self.own: list[Image] = []

    def reset(self, environments: Sequence[int] | None = None) -> None:
        """See Policy."""
        self._policy.reset(environments)

    def act(self, observations: Sequence[Observation], environments: Sequence[int] | None = None) -> FloatArray:
        """See Policy."""
        (observation,) = observations
        self.own.append(observation.image)
        if self._foreign:
            observation = Observation(self._foreign.popleft(), observation.vector)
        return self._policy.act([observation], environments)


def _policy(bundle: PolicyBundle, control: Control) -> Policy:
    if control == "scripted":
        return ScriptedPolicy(bundle)
    return policy_at(bundle, _LOOKS.get(control, EVERY_FRAME))


def _stand_still(loop: ClosedLoop, case: Case, seed: int) -> None:
    loop.reset(seed, case.move_block, case.conditions)
    while (captured := loop.next_frame()) is not None:
        loop.joints_at(captured)
        loop.act(np.zeros(ACTION_SIZE), captured)


def _blank(frame: RgbdFrame) -> RgbdFrame:
    return RgbdFrame(frame.stamp_ns, np.zeros_like(frame.rgb), np.zeros_like(frame.depth_mm))
