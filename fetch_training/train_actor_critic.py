"""The training loop: collect an episode, take as many gradient steps, evaluate now and then, checkpoint."""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import dataclass

import numpy as np
import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from fetch_sim2real.observation.observe import ACTION_SIZE
from fetch_sim2real.policy.network import Actor
from fetch_sim2real.sim.loop import ClosedLoop
from fetch_sim2real.types import FloatArray
from fetch_training.actor_critic import AsymmetricActorCritic
from fetch_training.curve import plot_learning_curve
from fetch_training.replay import HindsightReplay
from fetch_training.rollout import Choose, collect_episode, deterministic
from fetch_training.run_directory import RunDirectory
from fetch_training.seeds import training_seeds


@dataclass(frozen=True)
class LoopSettings:
    """Counts are in environment steps unless said otherwise."""

    steps: int = 30_000
    random_steps: int = 2_000
    batch: int = 128
    updates_per_step: float = 1.0
    move_block_share: float = 0.3
    evaluate_every: int = 4_000
    evaluation_episodes: int = 30
    # Exploration: this share of actions is uniformly random, on top of the actor's own spread.
    random_share: float = 0.1


_log = logging.getLogger(__name__)


def train(
    learner: AsymmetricActorCritic,
    replay: HindsightReplay,
    loop: ClosedLoop,
    run: RunDirectory,
    settings: LoopSettings,
    run_seed: int,
) -> float:
    """Train until ``settings.steps``; returns the best success on held-out seeds, whose actor is in ``run.best``.

    A run that was interrupted goes on from ``run.last``. The replay buffer is not stored: the actor as it then is fills
    it anew before learning goes on.
    """
    rng = np.random.default_rng([run_seed, 3])
    seeds = training_seeds(run_seed, "rollouts")
    held_out = [next(training_seeds(run_seed, f"held-out-{i}")) for i in range(settings.evaluation_episodes)]
    steps, best, wall_s = 0, -1.0, 0.0
    if run.last.exists():
        stored = run.load(run.last)
        learner.load_state_dict(stored["learner"])
        steps, best, wall_s = int(stored["steps"]), float(stored["best"]), float(stored["wall_s"])
        _log.info("going on at step %d", steps)
    learn_from, started = steps + settings.random_steps, time.monotonic() - wall_s
    recent: deque[bool] = deque(maxlen=40)
    next_evaluation = steps + settings.evaluate_every
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeRemainingColumn(),
    )
    metrics: dict[str, float] = {}
    with Progress(*columns) as progress:
        bar = progress.add_task("training", total=settings.steps)
        while steps < settings.steps:
            choose = _random(rng) if steps < settings.random_steps else _exploring(learner, rng, settings.random_share)
            episode = collect_episode(
                loop, learner.actor, choose, next(seeds), rng.random() < settings.move_block_share
            )
            replay.add(episode)
            recent.append(episode.success)
            steps += len(episode)
            if steps >= learn_from:
                for _ in range(round(len(episode) * settings.updates_per_step)):
                    metrics = learner.update(replay.sample(settings.batch, rng))
            if steps >= next_evaluation:
                next_evaluation += settings.evaluate_every
                success = evaluate(learner.actor, loop, held_out)
                row = {"steps": float(steps), "wall_s": time.monotonic() - started,
                       "exploring_success": float(np.mean(recent)), "evaluated_success": success}  # fmt: skip
                run.append_log(row | {key: metrics.get(key, float("nan")) for key in _METRICS})
                plot_learning_curve(run.read_log(), run.curve, "reach_block")
                if success >= best:
                    best = success
                    run.save(run.best, {"actor": learner.actor.state_dict(), "steps": steps, "success": success})
                run.save(
                    run.last, {"learner": learner.state_dict(), "steps": steps, "best": best, "wall_s": row["wall_s"]}
                )
            progress.update(bar, completed=steps, description=f"success {float(np.mean(recent)):.2f} best {best:.2f}")
    return best


_METRICS = ("critic_loss", "value", "alpha", "action_change", "imitated_share")


def evaluate(actor: Actor, loop: ClosedLoop, seeds: list[int]) -> float:
    """Success of the deterministic actor; every second episode has its block moved."""
    choose = deterministic(actor)
    return float(
        np.mean([collect_episode(loop, actor, choose, seed, i % 2 == 1).success for i, seed in enumerate(seeds)])
    )


def _random(rng: np.random.Generator) -> Choose:
    # A direction kept for a while explores further than white noise.
    held: list[FloatArray] = []

    def choose(bottleneck: torch.Tensor, vector: torch.Tensor) -> FloatArray:
        if not held or rng.random() < 0.1:
            held[:] = [rng.uniform(-1.0, 1.0, ACTION_SIZE)]
        return held[0]

    return choose


def _exploring(learner: AsymmetricActorCritic, rng: np.random.Generator, random_share: float) -> Choose:
    def choose(bottleneck: torch.Tensor, vector: torch.Tensor) -> FloatArray:
        if rng.random() < random_share:
            return rng.uniform(-1.0, 1.0, ACTION_SIZE)
        noise = torch.from_numpy(rng.standard_normal((1, ACTION_SIZE)).astype(np.float32))
        with torch.inference_mode():
            action, _, _ = learner.sample_action(bottleneck, vector, noise)
        chosen: FloatArray = action[0].numpy().astype(np.float64)
        return chosen

    return choose
