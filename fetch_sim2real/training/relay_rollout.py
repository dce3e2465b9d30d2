"""Collecting episodes of decisions for relay HER, in several environments at once."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from fetch_sim2real.episode import Arrival, EpisodeRunner, EpisodeStart, make_loop
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.perception.observe import ACTION_SIZE, ActionHistory
from fetch_sim2real.sim.full_state import full_states
from fetch_sim2real.sim.simulation import measured_joints
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.training.relay_her import (
    DecisionEpisode,
    Explorer,
    Float32,
    RelaySettings,
    SkillActor,
    SteadyActor,
)
from fetch_sim2real.types import BoolArray

LAST_ACTIONS: Final = 3
# Of the random behaviour: a direction that is kept for a while explores further than white noise.
_NEW_DIRECTION_SHARE: Final = 0.2

Behaviour = Literal["random", "exploring", "deterministic"]
Weights = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Request:
    """Episodes to collect, one seed for each environment; an action is held for ``periods`` control periods."""

    seeds: tuple[int, ...]
    behaviour: Behaviour
    periods: int


@dataclass(frozen=True)
class Collected:
    """The episodes asked for, and what they took in the process where they were collected: ``cpu_s`` since the answer
    before, with all that led to the first one."""

    episodes: list[DecisionEpisode]
    wall_s: float
    cpu_s: float
    process: int


@dataclass(frozen=True)
class TrueState:
    """What is true in N environments: full state (N, p), and of M skills what ``DecisionEpisode`` says."""

    state: Float32
    achieved_m: Float32
    asked_m: Float32
    allowed: BoolArray


@dataclass
class _Record:
    """One episode as it comes in."""

    state: list[Float32] = field(default_factory=list)
    achieved_m: list[Float32] = field(default_factory=list)
    asked_m: list[Float32] = field(default_factory=list)
    allowed: list[BoolArray] = field(default_factory=list)
    action: list[Float32] = field(default_factory=list)

    def add(self, now: TrueState, index: int, action: NDArray[np.float64]) -> None:
        self.state.append(now.state[index])
        self.achieved_m.append(now.achieved_m[index])
        self.asked_m.append(now.asked_m[index])
        self.allowed.append(now.allowed[index])
        self.action.append(action.astype(np.float32))


class DecisionCollector:
    """Runs episodes in which a decision is held for some control periods. Same request and weights: same episodes.

    See ``common.workers.Worker``.
    """

    def __init__(self, task: str, world: str, environments: int, settings: RelaySettings, state_size: int) -> None:
        loaded, found = load_world(world, worlds_dir()), find_task(task)
        self._runner = EpisodeRunner([make_loop(loaded, found, 0) for _ in range(environments)])
        self._settings, self._skills = settings, found.skills
        # Asked as it will be used.
        self._actor = SkillActor(state_size, found.skills, replace(settings, precision="float32"))
        self._told_cpu_s = 0.0

    def answer(self, weights: Weights, request: Request) -> Collected:
        """Run the episode of each seed, all environments together."""
        began_s, told_s = time.monotonic(), self._told_cpu_s
        episodes = self._collect(weights, request)
        self._told_cpu_s = time.process_time()
        return Collected(episodes, time.monotonic() - began_s, self._told_cpu_s - told_s, os.getpid())

    def _collect(self, weights: Weights, request: Request) -> list[DecisionEpisode]:
        self._actor.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
        runner, count = self._runner, len(request.seeds)
        rng = np.random.default_rng([request.seeds[0], 7])
        explorer = Explorer(self._actor, self._skills, self._settings, rng, count)
        finished = SteadyActor(self._actor, self._settings.periods_per_decision, count)
        held = rng.uniform(-1.0, 1.0, (count, ACTION_SIZE))
        arrivals = runner.begin([EpisodeStart(seed) for seed in request.seeds])
        histories = [ActionHistory(LAST_ACTIONS) for _ in request.seeds]
        records = [_Record() for _ in request.seeds]
        while arrivals:
            rows = [arrival.environment for arrival in arrivals]
            now = true_state(arrivals, histories)
            if request.behaviour == "random":
                anew = rng.random((count, 1)) < _NEW_DIRECTION_SHARE
                held = np.where(anew, rng.uniform(-1.0, 1.0, held.shape), held)
                decisions = held[rows]
            elif request.behaviour == "exploring":
                decisions = explorer.decide(now.state, now.achieved_m, now.asked_m, rows)
            else:
                decisions = finished.act(now.state, now.achieved_m, now.asked_m, rows)
            for index, row in enumerate(rows):
                records[row].add(now, index, decisions[index])
            of_row = dict(zip(rows, decisions, strict=True))
            for _ in range(request.periods):
                for arrival in arrivals:
                    histories[arrival.environment].push(of_row[arrival.environment])
                actions = np.array([of_row[arrival.environment] for arrival in arrivals])
                arrivals = runner.step(arrivals, actions)
                if not arrivals:
                    break
        return [self._episode(row, seed, records[row]) for row, seed in enumerate(request.seeds)]

    def _episode(self, row: int, seed: int, record: _Record) -> DecisionEpisode:
        return DecisionEpisode(
            seed=seed,
            state=np.array(record.state),
            achieved_m=np.array(record.achieved_m),
            asked_m=np.array(record.asked_m),
            allowed=np.array(record.allowed),
            # The last decision has no state after it.
            action=np.array(record.action[:-1]),
            success=self._runner.loops[row].sim.outcome().success,
        )

    def close(self) -> None:
        """Free the environments."""
        self._runner.close()


def true_state(arrivals: Sequence[Arrival], histories: Sequence[ActionHistory]) -> TrueState:
    """Return what is true now where frames have come; ``histories`` are of all environments."""
    sims, task = [arrival.loop.sim for arrival in arrivals], arrivals[0].loop.sim.task
    recent = np.array([histories[arrival.environment].recent() for arrival in arrivals])
    states = full_states(sims, [arrival.loop.setpoint for arrival in arrivals], recent)
    grip_m = np.array([sim.grip_position_m for sim in sims])
    objects_m = {
        name: np.array([sim.engine.object_state(name).position_m for sim in sims]) for name in task.bodies
    }  # fmt: skip
    finger_m = np.array([each.finger_position_m for each in measured_joints(sims)])
    return TrueState(
        states.astype(np.float32),
        task.skills_achieved_m(grip_m, objects_m).astype(np.float32),
        task.skills_asked_m(np.array([sim.goal_m for sim in sims]), objects_m).astype(np.float32),
        task.skills_allowed(grip_m, objects_m, finger_m),
    )
