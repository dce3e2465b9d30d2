"""The training loop: collect an episode, take as many gradient steps, evaluate now and then, checkpoint."""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import dataclass

import numpy as np
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from fetch_sim2real.common.workers import Pending, Pool, in_order
from fetch_sim2real.training.actor_critic import AsymmetricActorCritic
from fetch_sim2real.training.curve import LearningCurve
from fetch_sim2real.training.episode import Episode
from fetch_sim2real.training.latency_randomization import NO_ADDED_LATENCY, LatencyRandomization
from fetch_sim2real.training.replay import HindsightReplay
from fetch_sim2real.training.rollout import Behaviour, RolloutRequest, Weights, weights_of
from fetch_sim2real.training.run_directory import RunDirectory
from fetch_sim2real.training.seeds import training_seeds

RolloutPool = Pool[Weights, RolloutRequest, Episode]


@dataclass(frozen=True)
class LoopSettings:
    """Counts are in environment steps unless said otherwise."""

    steps: int = 40_000
    # Before learning starts: by the scripted baseline where there is imitation, else at random.
    warm_up_steps: int = 5_000
    # Before an interrupted run learns on: its episodes are not stored, and a few would be learned by heart.
    refill_steps: int = 2_000
    batch: int = 128
    updates_per_step: float = 1.0
    latency_randomization: LatencyRandomization = NO_ADDED_LATENCY
    evaluate_every: int = 6_000
    evaluation_episodes: int = 50
    # Exploration: this share of actions is uniformly random, on top of the actor's own spread.
    random_share: float = 0.1
    # Stop at this success on held-out seeds, evaluated twice in a row.
    enough: float = 2.0


_log = logging.getLogger(__name__)
_METRICS = ("critic_loss", "value", "alpha", "action_change")


class TrainingLoop:
    """Trains until ``settings.steps``; the best actor on held-out training seeds is in ``run.best``.

    A run that was interrupted goes on from ``run.last``. The replay buffer is not stored: the actor as it then is fills
    it anew before learning goes on.
    """

    def __init__(
        self,
        learner: AsymmetricActorCritic,
        replay: HindsightReplay,
        pool: RolloutPool,
        run: RunDirectory,
        settings: LoopSettings,
        run_seed: int,
        warm_up: Behaviour,
    ) -> None:
        self._learner, self._replay, self._pool, self._run = learner, replay, pool, run
        self._settings = settings
        self._warm_up = warm_up
        self._rng = np.random.default_rng([run_seed, 3])
        self._seeds = training_seeds(run_seed, "rollouts")
        held_out = training_seeds(run_seed, "held-out")
        # One way of judging all along: what latency_randomization does to these episodes is drawn once.
        rng = np.random.default_rng([run_seed, 13])
        self._held_out = [
            RolloutRequest(next(held_out), "deterministic", settings.latency_randomization.draw(rng))
            for _ in range(settings.evaluation_episodes)
        ]
        self._curve = LearningCurve(run)
        self._steps, self._evaluated_at, self._wall_s = 0, -1, 0.0
        self._bests: list[float] = []
        self._recent: deque[bool] = deque(maxlen=40)

    def train(self) -> float:
        """Train; returns the best success on held-out seeds."""
        self._go_on()
        settings = self._settings
        started = time.monotonic() - self._wall_s
        learn_from = self._steps + (settings.refill_steps if self._bests else settings.warm_up_steps)
        next_evaluation = self._steps + settings.evaluate_every
        metrics: dict[str, float] = {}
        columns = (
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"),
            TimeRemainingColumn(),
        )  # fmt: skip
        with Progress(*columns) as progress:
            bar = progress.add_task("training", total=settings.steps)
            pending = self._ask(self._steps < learn_from)
            while self._steps < settings.steps:
                episode = pending.result()
                self._replay.add(episode)
                self._recent.append(episode.success)
                self._steps += len(episode)
                # Asked for before learning from this one: a worker of its own collects meanwhile.
                pending = self._ask(self._steps < learn_from)
                if self._steps >= learn_from:
                    for _ in range(round(len(episode) * settings.updates_per_step)):
                        metrics = self._learner.update(self._replay.sample(settings.batch, self._rng))
                self._wall_s = time.monotonic() - started
                if self._steps >= next_evaluation:
                    next_evaluation += settings.evaluate_every
                    self._evaluate(metrics)
                    if len(self._bests) > 1 and min(self._bests[-2:]) >= settings.enough:
                        break
                rate = self._steps / max(self._wall_s, 1e-9)
                best = f"best {max(self._bests):.2f} " if self._bests else ""
                text = f"exploring {float(np.mean(self._recent)):.2f} {best}{rate:.0f} steps/s"
                progress.update(bar, completed=self._steps, description=text)
        if self._steps != self._evaluated_at:
            self._evaluate(metrics)
        self._curve.close()
        return max(self._bests, default=float("nan"))

    def _ask(self, warming_up: bool) -> Pending[Episode]:
        settings = self._settings
        behaviour: Behaviour = self._warm_up if warming_up and not self._bests else "exploring"
        conditions = settings.latency_randomization.draw(self._rng)
        request = RolloutRequest(next(self._seeds), behaviour, conditions, settings.random_share)
        return self._pool.submit(weights_of(self._learner.policy), request)

    def _evaluate(self, metrics: dict[str, float]) -> None:
        episodes = in_order(self._pool, weights_of(self._learner.policy), self._held_out)
        success = float(np.mean([episode.success for episode in episodes]))
        row = {"steps": float(self._steps), "wall_s": self._wall_s,
               "exploring_success": float(np.mean(self._recent)), "evaluated_success": success}  # fmt: skip
        learner = self._learner.state_dict()
        if success >= max(self._bests, default=-1.0):
            self._run.save(self._run.best, {"learner": learner, "steps": self._steps, "success": success})
        self._bests.append(success)
        self._evaluated_at = self._steps
        state = {"learner": learner, "steps": self._steps, "bests": self._bests, "wall_s": self._wall_s}
        self._run.save(self._run.last, state)
        self._curve.add(row | {key: metrics.get(key, float("nan")) for key in _METRICS})
        learned = "".join(f", {name} {metrics[name]:.3g}" for name in _METRICS if name in metrics)
        _log.info("steps %d, %.0f s: success %.2f%s", self._steps, self._wall_s, success, learned)

    def _go_on(self) -> None:
        if not self._run.last.exists():
            return
        stored = self._run.load(self._run.last)
        self._learner.load_state_dict(stored["learner"])
        self._steps = self._evaluated_at = int(stored["steps"])
        self._wall_s = float(stored["wall_s"])
        self._bests = [float(value) for value in stored["bests"]]
        # Other episodes than before: what was learned from is not stored.
        self._seeds = training_seeds(self._steps, "rollouts-resumed")
        _log.info("going on at step %d", self._steps)

