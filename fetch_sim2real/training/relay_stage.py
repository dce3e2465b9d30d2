"""The expert without a demonstrator: relay HER from nothing to an actor on the full state, in a run's folder."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, Final

import numpy as np
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from fetch_sim2real.common.layout import Layout
from fetch_sim2real.common.outputs import Attempts
from fetch_sim2real.common.workers import HERE, Pending, Pool, Workplace, in_order
from fetch_sim2real.errors import SetupError
from fetch_sim2real.sim.full_state import POSITION_UNIT_M, layout_of
from fetch_sim2real.tasks.base import Task
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.training.curve import plot_learning_curve
from fetch_sim2real.training.defaults import RELAY_STEPS
from fetch_sim2real.training.relay_her import DecisionEpisode, RelayLearner, RelayReplay, RelaySettings
from fetch_sim2real.training.relay_rollout import LAST_ACTIONS, DecisionCollector, Request, Weights
from fetch_sim2real.training.run_directory import RunDirectory
from fetch_sim2real.training.seeds import training_seeds

_log = logging.getLogger(__name__)
_Pool = Pool[Weights, Request, list[DecisionEpisode]]


@dataclass(frozen=True)
class RelayRun:
    """What is learned, where, and for how long. ``steps`` are control periods, all environments together."""

    task: str
    world: str
    seed: int
    steps: int = RELAY_STEPS
    environments: int = 16
    # Requests of as many episodes that are asked for ahead of learning: the actor that collects is as many rounds old.
    in_flight: int = 1
    evaluation_episodes: int = 48
    evaluate_every: int = 60_000
    learning: RelaySettings = field(default_factory=RelaySettings)


def relay_run(task: str, world: str, seed: int, steps: int, in_flight: int = 1) -> RelayRun:
    """Return a run of ``steps`` control periods; a short one has fewer environments and judgements."""
    environments = min(RelayRun.environments, max(1, steps // 240))
    return RelayRun(task, world, seed, steps, environments, in_flight, 3 * environments)


def train_with_relay(asked: RelayRun, run: RunDirectory, workplace: Workplace = HERE) -> float:
    """Train until done; return the best success on held-out training seeds, whose learner is in ``run.best``.

    An interrupted run goes on from ``run.last``. Episodes are not stored: the actor as it then is collects new ones.
    """
    task = find_task(asked.task)
    layout = layout_of(task, LAST_ACTIONS)
    with closing(_pool(asked, layout, workplace)) as pool:
        return _Training(asked, run, task, layout, pool).train()


def measure_best(
    asked: RelayRun, run: RunDirectory, seeds: Sequence[int], workplace: Workplace = HERE
) -> Iterator[bool]:
    """Yield whether the best actor of ``run``, asked in every control period, succeeds in each seed's episode."""
    task = find_task(asked.task)
    layout = layout_of(task, LAST_ACTIONS)
    learner = RelayLearner(layout.size, len(task.skills), asked.learning, asked.seed)
    learner.load_state_dict(run.load(run.best)["learner"])
    with closing(_pool(asked, layout, workplace)) as pool:
        for episodes in in_order(pool, _weights(learner), _judging(seeds, asked.environments)):
            yield from (episode.success for episode in episodes)


def _judging(seeds: Sequence[int], environments: int) -> list[Request]:
    """Requests for the episodes of ``seeds`` without exploring, decided in every control period."""
    groups = [tuple(seeds[first : first + environments]) for first in range(0, len(seeds), environments)]
    return [Request(group, "deterministic", 1) for group in groups]


def _pool(asked: RelayRun, layout: Layout, workplace: Workplace) -> _Pool:
    arguments = (asked.task, asked.world, asked.environments, asked.learning, layout.size)
    return workplace.pool(partial(DecisionCollector, *arguments), beside=True)


def _weights(learner: RelayLearner) -> Weights:
    return {name: value.detach().cpu().numpy().copy() for name, value in learner.actor.state_dict().items()}


class _Training:
    _COLUMNS: Final = (
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"),
        TimeRemainingColumn(),
    )  # fmt: skip

    def __init__(
        self, asked: RelayRun, run: RunDirectory, task: Task, layout: Layout, pool: _Pool
    ) -> None:
        self._asked, self._run, self._pool = asked, run, pool
        places = [layout["grip"], *(layout[f"{name}.position"] for name in task.bodies)]
        planar = [slice(place.start, place.start + 2) for place in places]
        self._learner = RelayLearner(layout.size, len(task.skills), asked.learning, asked.seed)
        self._replay = RelayReplay(task.skills, asked.learning, planar, POSITION_UNIT_M)
        self._rng = np.random.default_rng([asked.seed, 3])
        self._seeds = training_seeds(asked.seed, "rollouts")
        self._held_out = list(islice(training_seeds(asked.seed, "held-out"), asked.evaluation_episodes))
        self._steps, self._evaluated_at, self._wall_s = 0, -1, 0.0
        self._bests: list[float] = []
        self._recent: deque[bool] = deque(maxlen=48)
        self._moved: deque[bool] = deque(maxlen=48)

    def train(self) -> float:
        asked, periods = self._asked, self._asked.learning.periods_per_decision
        self._go_on()
        started = time.monotonic() - self._wall_s
        next_evaluation = self._steps + asked.evaluate_every
        with Progress(*self._COLUMNS) as progress:
            bar = progress.add_task("training", total=asked.steps)
            pending = deque(self._ask() for _ in range(asked.in_flight))
            while self._steps < asked.steps:
                episodes = pending.popleft().result()
                # Asked for before learning from these: others collect meanwhile.
                pending.append(self._ask())
                for episode in episodes:
                    self._moved.append(self._replay.add(episode))
                    self._recent.append(episode.success)
                decisions = sum(len(episode) for episode in episodes)
                self._steps += decisions * periods
                for _ in range(round(decisions * asked.learning.updates_per_decision)):
                    self._learner.update(self._replay.sample(asked.learning.batch, self._rng))
                self._wall_s = time.monotonic() - started
                if self._steps >= next_evaluation:
                    next_evaluation += asked.evaluate_every
                    self._evaluate()
                best = max(self._bests, default=float("nan"))
                text = f"exploring {np.mean(self._recent):.2f} moved {np.mean(self._moved):.2f} best {best:.2f}"
                progress.update(bar, completed=self._steps, description=text)
        if self._steps != self._evaluated_at:
            self._evaluate()
        return max(self._bests)

    def _ask(self) -> Pending[list[DecisionEpisode]]:
        behaviour = "exploring" if self._learner.updates else "random"
        seeds = tuple(islice(self._seeds, self._asked.environments))
        request = Request(seeds, behaviour, self._asked.learning.periods_per_decision)  # type: ignore[arg-type]
        return self._pool.submit(_weights(self._learner), request)

    def _evaluate(self) -> None:
        answers = in_order(self._pool, _weights(self._learner), _judging(self._held_out, self._asked.environments))
        success = float(np.mean([episode.success for episodes in answers for episode in episodes]))
        row = {
            "steps": float(self._steps), "wall_s": self._wall_s, "exploring_success": float(np.mean(self._recent)),
            "evaluated_success": success, "moved": float(np.mean(self._moved)),
            "alpha": float(self._learner.log_alpha.detach().exp()), "updates": float(self._learner.updates),
        }  # fmt: skip
        state = {"learner": self._learner.state_dict(), "steps": self._steps}
        if success >= max(self._bests, default=-1.0):
            self._run.save(self._run.best, state | {"success": success})
        self._bests.append(success)
        self._evaluated_at = self._steps
        self._run.save(self._run.last, state | {"bests": self._bests, "wall_s": self._wall_s, "run": self._identity()})
        # After what was learned, which no full disk and no picture may cost.
        attempts = Attempts(_log.warning)
        attempts.make(f"a line of {self._run.log}", partial(self._run.append_log, row), asked=False)
        attempts.make(f"the picture {self._run.curve}", self._plot, asked=False)
        _log.info("steps %d, %.0f s: success %.2f", self._steps, self._wall_s, success)

    def _plot(self) -> None:
        plot_learning_curve(self._run.read_log(), self._run.curve, self._run.path.name)

    def _identity(self) -> dict[str, Any]:
        return {"task": self._asked.task, "world": self._asked.world, "seed": self._asked.seed}

    def _go_on(self) -> None:
        if not self._run.last.exists():
            return
        stored = self._run.load(self._run.last)
        found = stored.get("run", {"method": "with a demonstrator"})
        if found != self._identity():
            raise SetupError(f"{self._run.last} is of a run {found}, asked for {self._identity()}: take another --run")
        self._learner.load_state_dict(stored["learner"])
        self._steps = self._evaluated_at = int(stored["steps"])
        self._wall_s = float(stored["wall_s"])
        self._bests = [float(value) for value in stored["bests"]]
        # Other episodes than before: what was learned from is not stored.
        self._seeds = training_seeds(self._steps, "rollouts-resumed")
        _log.info("going on at step %d", self._steps)
