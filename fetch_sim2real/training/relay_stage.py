"""The expert without a demonstrator: relay HER from nothing to an actor on the full state, in a run's folder."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import TimeoutError as NotYetError
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Any, Final

import numpy as np
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from fetch_sim2real.common.layout import Layout
from fetch_sim2real.common.stop_request import StopRequest, StopRequestedError
from fetch_sim2real.common.workers import HERE, Pending, Pool, Workplace, in_order
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.sim.full_state import POSITION_UNIT_M, layout_of
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.tasks.base import Task
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.training.curve import LearningCurve
from fetch_sim2real.training.relay_config import BUDGET, RelayConfig
from fetch_sim2real.training.relay_her import RelayLearner, RelayReplay, SkillActor
from fetch_sim2real.training.relay_rollout import (
    LAST_ACTIONS,
    Behaviour,
    Collected,
    DecisionCollector,
    Request,
    Weights,
)
from fetch_sim2real.training.run_directory import RunDirectory, require_same_run
from fetch_sim2real.training.seeds import training_seeds

_log = logging.getLogger(__name__)
_Pool = Pool[Weights, Request, Collected]

# Between judgements a checkpoint is written about as often.
_SAVE_EVERY_S: Final = 60.0
# Before a run that goes on learns: its episodes are not stored, and a few would be learned by heart.
_REFILL_EPISODES: Final = 96
# How fast this machine learns is measured on so many updates, after one that may still prepare something.
_MEASURED_UPDATES: Final = 50
# How soon a request to stop is noticed while episodes are waited for.
_NOTICE_S: Final = 0.2


@dataclass(frozen=True)
class RelayRun:
    """What is learned."""

    task: str
    world: str
    seed: int
    config: RelayConfig = field(default_factory=RelayConfig)

    def identity(self) -> dict[str, Any]:
        """Return what makes a run this one and no other, by name."""
        world = load_world(self.world, worlds_dir()).model_dump_json()
        settings = {name: value for name, value in asdict(self.config).items() if name not in BUDGET}
        content = hashlib.sha256(world.encode()).hexdigest()[:12]
        return {"task": self.task, "world": self.world, "content of world": content, "seed": self.seed} | settings


def collecting(workplace: Workplace) -> int:
    """Return how many workers collect at ``workplace``, whose processes are counted with the learner's; 0 if that one
    does both in turn. On a cluster, of which no number is asked, it is taken to be 1."""
    if workplace.ray is not None:
        return workplace.processes or 1
    return (workplace.processes or 1) - 1


def _pool(asked: RelayRun, workplace: Workplace) -> _Pool:
    size, config = layout_of(find_task(asked.task), LAST_ACTIONS).size, asked.config
    make = partial(DecisionCollector, asked.task, asked.world, config.environments, config, size)
    if workplace.ray is not None:
        return workplace.pool(make)
    beside = collecting(workplace)
    return replace(workplace, processes=max(1, beside)).pool(make, beside=beside > 0)


def train_with_relay(
    asked: RelayRun, run: RunDirectory, workplace: Workplace = HERE, say: Callable[[str], None] = _log.info
) -> float:
    """Train until done; return the best success on held-out training seeds, the mean of two judgements in a row, whose
    learner is in ``run.best``.

    An interrupted run goes on from ``run.last``. Episodes are not stored: the actor as it then is collects new ones.
    ``say`` is told how long it will take, and of a stop.

    Raises:
        StopRequestedError: after Ctrl-C or another signal to stop; the checkpoint is written.
        SetupError: the folder holds a run with other settings; they are named.
        WorkerDiedError: workers die again and again; the run can go on from its last checkpoint.
    """
    task = find_task(asked.task)
    training = _Training(asked, run, task, layout_of(task, LAST_ACTIONS), say)
    training.go_on()
    if training.done:
        return training.best
    with (
        closing(_pool(asked, workplace)) as pool,
        StopRequest(lambda: say("stopping: the checkpoint is being written")) as stop,
    ):
        return training.train(pool, collecting(workplace), stop)


def measure_best(
    asked: RelayRun, run: RunDirectory, seeds: Sequence[int], workplace: Workplace = HERE
) -> Iterator[bool]:
    """Yield whether the best actor of ``run``, asked in every control period, succeeds in each seed's episode."""
    if not seeds:
        return
    task = find_task(asked.task)
    learner = _learner(asked, task, layout_of(task, LAST_ACTIONS))
    learner.load_state_dict(run.load(run.best)["learner"])
    with closing(_pool(asked, workplace)) as pool:
        for collected in in_order(pool, _weights(learner.average), _deterministic(seeds, asked.config.environments)):
            yield from (episode.success for episode in collected.episodes)


def _deterministic(seeds: Sequence[int], width: int) -> list[Request]:
    """Return requests for the actor's own episodes of ``seeds``, ``width`` at a time, asked in every period."""
    return [Request(tuple(seeds[i : i + width]), "deterministic", 1) for i in range(0, len(seeds), width)]


def _places(task: Task, layout: Layout) -> list[slice]:
    """Where in the full state the positions of gripper and objects stand."""
    return [layout["grip"], *(layout[f"{name}.position"] for name in task.bodies)]


def _learner(asked: RelayRun, task: Task, layout: Layout) -> RelayLearner:
    places = _places(task, layout)
    return RelayLearner(layout.size, task.skills, asked.config, asked.seed, places=places)


def _weights(actor: SkillActor) -> Weights:
    return {name: value.detach().cpu().numpy().copy() for name, value in actor.state_dict().items()}


class _Training:
    _COLUMNS: Final = (
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total} steps"),
        TimeRemainingColumn(),
    )  # fmt: skip

    def __init__(
        self, asked: RelayRun, run: RunDirectory, task: Task, layout: Layout, say: Callable[[str], None]
    ) -> None:
        self._asked, self._config, self._run, self._say = asked, asked.config, run, say
        planar = [slice(place.start, place.start + 2) for place in _places(task, layout)]
        self._learner = _learner(asked, task, layout)
        self._replay = RelayReplay(task.skills, self._config, planar, POSITION_UNIT_M, timed=task.timed)
        self._rng = np.random.default_rng([asked.seed, 3])
        self._seeds = training_seeds(asked.seed, "rollouts")
        self._held_out = list(islice(training_seeds(asked.seed, "held-out"), self._config.evaluation_episodes))
        self._identity = asked.identity()
        self._steps, self._decisions, self._judged_at, self._refill = 0, 0, -1, 0
        self._wall_s, self._cpu_s, self._others_cpu_s, self._saved_s = 0.0, 0.0, 0.0, 0.0
        self._judgements: list[float] = []
        self._recent: deque[bool] = deque(maxlen=48)
        self._moved: deque[bool] = deque(maxlen=48)

    @property
    def best(self) -> float:
        return max(self._lately())

    def _lately(self) -> list[float]:
        """Each judgement's mean with the one before it: a single one is often lucky."""
        return [float(np.mean(self._judgements[max(0, last - 1) : last + 1])) for last in range(len(self._judgements))]

    @property
    def done(self) -> bool:
        """Whether the budget is spent or the actor is good enough, and the actor as it is now was judged."""
        return self._judged_at == self._steps and (self._steps >= self._config.steps or self._enough())

    def _enough(self) -> bool:
        last = self._judgements[-2:]
        return len(last) == 2 and min(last) >= self._config.until

    def train(self, pool: _Pool, collecting: int, stop: StopRequest) -> float:
        """Train with ``pool``, which as many workers are in as ``collecting`` says; 0: this process itself."""
        self._pool, self._collecting, self._stop = pool, collecting, stop
        self._began_wall_s, self._began_cpu_s = time.monotonic() - self._wall_s, time.process_time() - self._cpu_s
        self._saved_s = time.monotonic()
        self._curve = LearningCurve(self._run)
        try:
            with Progress(*self._COLUMNS) as self._progress:
                self._bar = self._progress.add_task("training", total=self._config.steps)
                self._learn()
        except StopRequestedError:
            self._save()
            raise
        finally:
            self._curve.close()
        return self.best

    def _learn(self) -> None:
        every = self._config.evaluate_every
        pending = deque(self._ask() for _ in range(self._config.in_flight))
        while self._steps < self._config.steps and not self._enough():
            collected = self._answer(pending.popleft())
            # Asked for before learning from these: others collect meanwhile. Weights are as many rounds old as
            # requests are in flight, whoever is the faster one.
            pending.append(self._ask())
            decisions = self._take_in(collected)
            self._show()
            if self._replay.episodes >= self._refill:
                self._update(round(decisions * self._config.updates_per_decision), collected)
            if self._steps // every > max(self._judged_at, 0) // every:
                self._judge()
            elif time.monotonic() - self._saved_s > _SAVE_EVERY_S:
                self._save()
        if self._judged_at != self._steps:
            self._judge()

    def _ask(self) -> Pending[Collected]:
        behaviour: Behaviour = "exploring" if self._learner.updates else "random"
        seeds = tuple(islice(self._seeds, self._config.environments))
        request = Request(seeds, behaviour, self._config.periods_per_decision)
        return self._pool.submit(_weights(self._learner.actor), request)

    def _answer(self, pending: Pending[Collected]) -> Collected:
        while True:
            self._stop.check()
            try:
                collected = pending.result(timeout=_NOTICE_S)
            except NotYetError:
                continue
            if collected.process != os.getpid():  # this one's CPU time is counted anyway
                self._others_cpu_s += collected.cpu_s
            return collected

    def _take_in(self, collected: Collected) -> int:
        for episode in collected.episodes:
            self._moved.append(self._replay.add(episode))
            self._recent.append(episode.success)
        decisions = sum(len(episode) for episode in collected.episodes)
        self._decisions += decisions
        self._steps += decisions * self._config.periods_per_decision
        return decisions

    def _update(self, updates: int, collected: Collected) -> None:
        measures = self._learner.updates == 0 or self._refill > 0
        self._refill = 0
        self._learner.pace(self._steps / self._config.steps)
        for index in range(updates):
            self._stop.check()
            self._learner.update(self._replay.sample(self._config.batch, self._rng))
            if measures and index == 0:
                began_s = time.monotonic()
            elif measures and index == min(_MEASURED_UPDATES, updates - 1):
                self._forecast(collected, index / (time.monotonic() - began_s))

    def _forecast(self, collected: Collected, updates_per_s: float) -> None:
        """Say how long the rest takes, by what this machine has just done."""
        config = self._config
        per_s = sum(len(episode) for episode in collected.episodes) / collected.wall_s
        per_s *= max(1, min(self._collecting, config.in_flight))
        decisions = max(0, config.steps - self._steps) / config.periods_per_decision
        updates = decisions * config.updates_per_decision
        judgements = max(1, round((config.steps - self._steps) / config.evaluate_every))
        longest = max(len(episode) for episode in collected.episodes)
        judging_s = judgements * config.evaluation_episodes * longest / per_s
        collecting_s, learning_s = decisions / per_s, updates / updates_per_s
        in_turn = self._collecting == 0
        whole_s = judging_s + (collecting_s + learning_s if in_turn else max(collecting_s, learning_s))
        gpu = "no GPU is used" if self._learner.device.type == "cpu" else f"updates run on {self._learner.device}"
        self._say(
            f"about {_duration(whole_s)} with this machine as busy as it is now: {_thousands(decisions)} decisions at "
            f"{per_s:.0f}/s, {_thousands(updates)} updates at {updates_per_s:.0f}/s"
            f"{'' if in_turn else ' at the same time'}, judging {judgements} x {config.evaluation_episodes} "
            f"episodes; {gpu}. Less if success is {config.until:g} twice in a row before"
        )

    def _judge(self) -> None:
        requests = _deterministic(self._held_out, self._config.environments)
        answers = in_order(self._pool, _weights(self._learner.average), requests, self._answer)
        outcomes = [episode.success for collected in answers for episode in collected.episodes]
        success = float(np.mean(outcomes))
        self._count_time()
        row = {
            "steps": float(self._steps), "decisions": float(self._decisions), "wall_s": self._wall_s,
            "cpu_s": self._cpu_s + self._others_cpu_s, "exploring_success": float(np.mean(self._recent)),
            "evaluated_success": success, "moved": float(np.mean(self._moved)),
            "alpha": float(self._learner.log_alpha.detach().exp()), "updates": float(self._learner.updates),
        }  # fmt: skip
        self._judgements.append(success)
        lately = self._lately()
        if lately[-1] >= max(lately):
            state = {"learner": self._learner.state_dict(), "steps": self._steps, "success": success}
            self._run.save(self._run.best, state)
        self._judged_at = self._steps
        self._save()
        self._curve.add(row)
        self._show()
        _log.info("steps %d, %.0f s: success %.2f", self._steps, self._wall_s, success)

    def _show(self) -> None:
        judged = f"success {self._judgements[-1]:.2f}, best {self.best:.2f}, " if self._judgements else ""
        text = f"{judged}exploring {np.mean(self._recent):.2f}, moved {np.mean(self._moved):.2f}"
        self._progress.update(self._bar, completed=self._steps, description=text)

    def _count_time(self) -> None:
        self._wall_s = time.monotonic() - self._began_wall_s
        self._cpu_s = time.process_time() - self._began_cpu_s

    def _save(self) -> None:
        self._count_time()
        state = {
            "run": self._identity, "learner": self._learner.state_dict(), "steps": self._steps,
            "decisions": self._decisions, "episodes": max(self._replay.episodes, self._refill),
            "judgements": self._judgements, "judged_at": self._judged_at,
            "wall_s": self._wall_s, "cpu_s": self._cpu_s + self._others_cpu_s,
        }  # fmt: skip
        self._run.save(self._run.last, state)
        self._saved_s = time.monotonic()

    def go_on(self) -> None:
        """Take over what the folder holds of this run."""
        if not self._run.last.exists():
            return
        stored = self._run.load(self._run.last)
        require_same_run(stored.get("run", {"demonstrator": "asked"}), self._identity, self._run.last)
        self._learner.load_state_dict(stored["learner"])
        self._steps, self._decisions = int(stored["steps"]), int(stored["decisions"])
        self._judged_at, self._judgements = int(stored["judged_at"]), [float(value) for value in stored["judgements"]]
        self._wall_s, self._cpu_s = float(stored["wall_s"]), float(stored["cpu_s"])
        # Other episodes than before: what was learned from is not stored.
        self._seeds = training_seeds(self._asked.seed, f"rollouts-from-{self._steps}")
        self._rng = np.random.default_rng([self._asked.seed, 3, self._steps])
        self._refill = min(_REFILL_EPISODES, int(stored["episodes"]))
        _log.info("going on at step %d", self._steps)


def _duration(seconds: float) -> str:
    if seconds < 90.0:
        return f"{seconds:.0f} seconds"
    minutes = seconds / 60.0
    return f"{minutes:.0f} minutes" if minutes < 120.0 else f"{minutes / 60.0:.1f} hours"


def _thousands(count: float) -> str:
    return f"{round(count):,}".replace(",", " ")
