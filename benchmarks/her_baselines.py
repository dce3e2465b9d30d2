"""Success against wall clock and steps: sb3-contrib's TQC with HER on ``FetchSim2Real/Push-v0``, beside our learner.

``zoo``: the settings that rl-baselines3-zoo has for FetchPush. ``same``: TQC with what our learner has: differences of
positions as inputs, networks of the same size with layer normalization, batch, discount, update ratio, share of
hindsight and tolerance of the reward. Neither imitates our scripted baseline, nor has our
weights of episodes, our random actions and our cost of changing the action. Both see the full state, and are evaluated
as ours is: the deterministic actor on the same held-out episodes, wall clock including evaluations.

    python -m benchmarks.her_baselines --who zoo --minutes 60 --seed 0 --output runs/zoo.csv
    python -m benchmarks.her_baselines --who same --minutes 60 --seed 0 --output runs/same.csv
    python -m benchmarks.her_baselines --plot runs/zoo.csv runs/same.csv runs/push/progress.csv --output runs/her.png

Needs the extra ``baselines``; plots need ``train``.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import gymnasium
import numpy as np

import fetch_sim2real.envs  # noqa: F401  (registers the environments)
from benchmarks.her_plot import plot_success
from fetch_sim2real.sim.seeds import FIRST_TRAINING_SEED
from fetch_sim2real.training.learn import LoopSettings
from fetch_sim2real.training.replay import ReplaySettings
from fetch_sim2real.training.seeds import training_seeds

TASK: Final = "FetchSim2Real/Push-v0"
COLUMNS: Final = ("who", "steps", "wall_s", "success")
# HER needs a whole episode before it can learn; the zoo's FetchReach says the same.
_ZOO_LEARNING_STARTS: Final = 1_000


def make_learner(who: str, env: gymnasium.Env[Any, Any], seed: int, device: str) -> Any:
    """A new learner, ``zoo`` or ``same``."""
    from sb3_contrib import TQC
    from stable_baselines3 import HerReplayBuffer

    if who == "zoo":
        return TQC(
            "MultiInputPolicy", env, buffer_size=1_000_000, batch_size=2_048, gamma=0.95, learning_rate=1e-3, tau=0.05,
            learning_starts=_ZOO_LEARNING_STARTS, replay_buffer_class=HerReplayBuffer,
            replay_buffer_kwargs={"n_sampled_goal": 4, "goal_selection_strategy": "future"},
            policy_kwargs={"net_arch": [512, 512, 512], "n_critics": 2}, seed=seed, device=device,
        )  # fmt: skip
    from benchmarks.her_policy import RelationalPolicy, same_settings

    return TQC(RelationalPolicy, env, replay_buffer_class=HerReplayBuffer, seed=seed, device=device, **same_settings())


def success_on(model: Any, env: gymnasium.Env[Any, Any], seeds: Sequence[int]) -> float:
    """Share of the episodes in which the deterministic actor holds the goal at the end."""
    successes = []
    for seed in seeds:
        observation, _ = env.reset(seed=seed)
        truncated, info = False, dict[str, Any]()
        while not truncated:
            action, _ = model.predict(observation, deterministic=True)
            observation, _, _, truncated, info = env.step(action)
        successes.append(info["is_success"])
    return float(np.mean(successes))


def train(options: argparse.Namespace) -> None:
    """Learn until the time is over, writing a row of ``COLUMNS`` after every evaluation."""
    from stable_baselines3.common.callbacks import BaseCallback

    held_out = training_seeds(options.seed, "held-out")
    seeds = [next(held_out) for _ in range(options.episodes)]
    evaluation = gymnasium.make(TASK, world=options.world)
    options.output.parent.mkdir(parents=True, exist_ok=True)

    class Evaluating(BaseCallback):
        """Evaluates, writes, and stops."""

        def _on_training_start(self) -> None:
            self._next = options.every

        def _on_step(self) -> bool:
            if self.num_timesteps >= self._next:
                self._next += options.every
                self._evaluate()
            return time.monotonic() - started < 60.0 * options.minutes

        def _on_training_end(self) -> None:
            self._evaluate()

        def _evaluate(self) -> None:
            # As in our own log: the wall clock before this evaluation, earlier ones included.
            wall_s = round(time.monotonic() - started, 1)
            row = (options.who, self.num_timesteps, wall_s, success_on(self.model, evaluation, seeds))
            writer.writerow(row)
            stream.flush()
            print(*(f"{name} {value}" for name, value in zip(COLUMNS, row, strict=True)), flush=True)

    tolerance_m = ReplaySettings().tolerance_m if options.who == "same" else None
    env = gymnasium.make(TASK, world=options.world, reward_tolerance_m=tolerance_m)
    # The learner hands its seed to the first reset: it must not be one of evaluation's.
    model = make_learner(options.who, env, FIRST_TRAINING_SEED + options.seed, options.device)
    with options.output.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        started = time.monotonic()
        model.learn(10**9, callback=Evaluating())


def main(arguments: list[str] | None = None) -> int:
    """Train one learner, or draw several runs."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--who", choices=("zoo", "same"), help="which learner to train")
    made.add_argument("--minutes", type=float, default=60.0, help="wall-clock time of the training")
    made.add_argument("--seed", type=int, default=0, help="of the learner, and of the held-out episodes")
    made.add_argument("--world", default="randomized", help="name or path of the world")
    made.add_argument("--every", type=int, default=LoopSettings().evaluate_every, help="env steps between evaluations")
    made.add_argument("--episodes", type=int, default=LoopSettings().evaluation_episodes, help="of an evaluation")
    made.add_argument("--threads", type=int, help="torch's threads (torch's own choice if not given)")
    made.add_argument("--device", default="cpu", help="torch's device; the zoo's networks and batch ask for a GPU")
    made.add_argument("--plot", type=Path, nargs="+", metavar="CSV", help="runs to draw, ours (progress.csv) too")
    made.add_argument("--output", type=Path, required=True, help="CSV to write, or PNG with --plot")
    options = made.parse_args(arguments)
    if (options.who is None) == (options.plot is None):
        made.error("give either --who to train or --plot to draw")
    if options.plot:
        plot_success(options.plot, options.output)
        return 0
    import torch

    if options.threads:
        torch.set_num_threads(options.threads)
    train(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
