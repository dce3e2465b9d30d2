"""Success of a bundle over many seeds without ROS: same episodes as through the graph in lockstep.

For rows of a table that would take hours through the graph. A test compares the two paths command by command.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, get_args

from fetch_sim2real.arm.ik import DifferentialIk
from fetch_sim2real.common.workers import HERE, Workplace, in_order
from fetch_sim2real.episode import (
    ActionSettings,
    Agent,
    ClosedLoop,
    EpisodeRunner,
    EpisodeStart,
    PolicyAgent,
    StandStill,
)
from fetch_sim2real.evaluation.colour_threshold import ColourThreshold
from fetch_sim2real.evaluation.kalman import KalmanFiltered
from fetch_sim2real.evaluation.open_loop import policy_at
from fetch_sim2real.evaluation.scripted import OwnEncoder, ScriptedPolicy
from fetch_sim2real.perception.observe import Observation
from fetch_sim2real.perception.preprocess import Image
from fetch_sim2real.policy.bundle import PolicyBundle
from fetch_sim2real.policy.look_rate import EVERY_FRAME, Between, LookRate
from fetch_sim2real.policy.runtime import Policy, PolicyRuntime
from fetch_sim2real.sim.disturbances.conditions import NO_CONDITIONS, Conditions
from fetch_sim2real.sim.engine import DEFAULT_ENGINE
from fetch_sim2real.sim.randomization.sample import draw_episode
from fetch_sim2real.sim.simulation import Outcome, Simulation
from fetch_sim2real.sim.world_file import World
from fetch_sim2real.stack.options import DEFAULT_CAMERA_SIZE
from fetch_sim2real.tasks.base import Task
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.types import FloatArray, RgbdFrame

Control = Literal[
    "none", "blank-image", "foreign-pictures", "do-nothing", "look-once", "look-each-second", "scripted",
    "scripted-kalman", "colour-threshold",
]
CONTROLS: Final[tuple[Control, ...]] = get_args(Control)
_LOOKS: Final[dict[Control, LookRate]] = {"look-once": "once", "look-each-second": "each-second"}


@dataclass(frozen=True)
class Case:
    """What is measured: the bundle's task in ``world``, with the object moved on the way or not, under a control, in
    the simulator called ``engine``.

    Some controls replace what the actor sees or does, and must fail: black pictures without depth, the pictures of the
    episode before, no motion at all. The others are baselines: the actor looks once, or each second
    (``evaluation.open_loop``), or the task's scripted baseline acts on positions: those that the encoder estimates,
    with a Kalman filter after it or without, or that of the largest red patch in the picture. ``look`` says how often
    the actor looks otherwise, and ``between`` what it goes by in the meantime.
    """

    world: World
    control: Control = "none"
    move_block: bool = False
    conditions: Conditions = NO_CONDITIONS
    engine: str = DEFAULT_ENGINE
    look: LookRate = EVERY_FRAME
    between: Between = "predict"


class Measurer:
    """Answers seeds with the outcomes of their episodes. See ``common.workers.Worker``."""

    def __init__(self, bundle: PolicyBundle, case: Case, environments: int) -> None:
        settings = ActionSettings.of_bundle(bundle.manifest)
        task, size = find_task(bundle.manifest.task), None if case.control == "do-nothing" else DEFAULT_CAMERA_SIZE
        self._runner = EpisodeRunner(
            [
                ClosedLoop(Simulation(case.world, task, size, engine=case.engine), settings)
                for _ in range(environments)
            ]
        )
        self._agent = _agent(bundle, case, environments)
        self._conditions = case.conditions.and_moved_block() if case.move_block else case.conditions

    def answer(self, shared: None, request: Sequence[int]) -> tuple[Outcome, ...]:
        """Run the episode of each seed, all environments together."""
        return self._runner.run(self._agent, [EpisodeStart(seed, self._conditions) for seed in request])

    def close(self) -> None:
        """Free the environments."""
        self._runner.close()


def measure(
    bundle: PolicyBundle, case: Case, seeds: Sequence[int], environments: int = 1, workplace: Workplace = HERE
) -> Iterator[Outcome]:
    """Yield the outcome of each seed's episode, in their order.

    With several ``environments`` so many run together and the actor sees them as one batch: see ``EpisodeRunner`` for
    what holds then. The pictures of the episode before need one environment, and episodes after each other in this
    process.
    """
    is_foreign = case.control == "foreign-pictures"
    count, where = (1, HERE) if is_foreign else (environments, workplace)
    groups = [tuple(seeds[first : first + count]) for first in range(0, len(seeds), count)]
    if is_foreign:
        groups.insert(0, (seeds[0] - 1,))
    with closing(where.pool(partial(Measurer, bundle, case, count))) as pool:
        for number, outcomes in enumerate(in_order(pool, None, groups)):
            if number > 0 or not is_foreign:
                yield from outcomes


def goals_in_air(world: World, task: Task, seeds: Sequence[int]) -> set[int]:
    """Return those of the seeds whose episodes have their goal in the air; none where a task knows no such goals."""
    part, ik = world.episode_of(task), DifferentialIk(world.workcell.torso_height_m)
    if part.air_share == 0.0:
        return set()
    on_table_m = part.goal_m[2].high
    return {seed for seed in seeds if draw_episode(world, task, seed, ik).goal_m[2] > on_table_m}


def _agent(bundle: PolicyBundle, case: Case, environments: int) -> Agent:
    if case.control == "do-nothing":
        return StandStill()
    policy = _policy(bundle, case, environments)
    runtime = PolicyRuntime.of_bundle(bundle, policy, environments)
    return PolicyAgent(runtime, RgbdFrame.blanked) if case.control == "blank-image" else PolicyAgent(runtime)


def _policy(bundle: PolicyBundle, case: Case, environments: int) -> Policy:
    control = case.control
    if control == "scripted":
        return ScriptedPolicy(bundle, OwnEncoder(bundle))
    if control == "scripted-kalman":
        return ScriptedPolicy(bundle, KalmanFiltered(OwnEncoder(bundle), bundle, environments))
    if control == "colour-threshold":
        return ScriptedPolicy(bundle, ColourThreshold(bundle, environments))
    policy = policy_at(bundle, _LOOKS.get(control, case.look), environments, case.between)
    return _ForeignPictures(policy) if control == "foreign-pictures" else policy


class _ForeignPictures:
    """Shows a policy the pictures of the episode before, as long as there are some. One environment."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._foreign: deque[Image] = deque()
        self._own: list[Image] = []

    def reset(self, environments: Sequence[int] | None = None) -> None:
        """See Policy."""
        self._foreign, self._own = deque(self._own), []
        self._policy.reset(environments)

    def act(self, observations: Sequence[Observation], environments: Sequence[int] | None = None) -> FloatArray:
        """See Policy."""
        (observation,) = observations
        self._own.append(observation.image)
        if self._foreign:
            observation = Observation(self._foreign.popleft(), observation.vector)
        return self._policy.act([observation], environments)
