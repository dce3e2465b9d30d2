"""Updates a second of relay HER beside those of the learner that imitates, at equal batch and width, one core.

Batches are drawn from episodes of random numbers; what drawing takes is told apart. The learner that imitates is asked
without imitation, which costs it extra. Seconds are CPU time, and both are measured in turn, so that other work on the
machine counts less: the ratio is the median of the rounds' ratios, rates are of each one's best round.

    python -m benchmarks.learner_speed --width 256 --batch 256
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from fetch_sim2real.policy.network import build_actor
from fetch_sim2real.sim.full_state import POSITION_UNIT_M, layout_of
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.training.actor_critic import AsymmetricActorCritic, LearnerSettings
from fetch_sim2real.training.episode import Episode, TruthLayout
from fetch_sim2real.training.relay_her import DecisionEpisode, RelayLearner, RelayReplay, RelaySettings
from fetch_sim2real.training.relay_rollout import LAST_ACTIONS
from fetch_sim2real.training.replay import HindsightReplay, ReplaySettings
from fetch_sim2real.training.specs import task_actor_spec, task_observation_spec

_TASK: Final = "push"
_EPISODES, _STEPS, _UPDATES = 200, 80, 8


@dataclass
class _Measured:
    """Draws and updates of one learner, and the CPU seconds that each round took of them."""

    draw: Callable[[], object]
    update: Callable[[object], object]
    drawing_s: list[float] = field(default_factory=list)
    updating_s: list[float] = field(default_factory=list)

    def round(self) -> None:
        started = time.process_time()
        batches = [self.draw() for _ in range(_UPDATES)]
        drawn = time.process_time()
        for batch in batches:
            self.update(batch)
        self.drawing_s.append((drawn - started) / _UPDATES)
        self.updating_s.append((time.process_time() - drawn) / _UPDATES)


def _normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def imitating(width: int, batch: int) -> _Measured:
    """Return the asymmetric actor-critic on true positions, on episodes of random numbers."""
    task, rng = find_task(_TASK), np.random.default_rng(0)
    spec = task_actor_spec(task, proprioception=True)
    actor = build_actor(spec.model_copy(update={"hidden": (width, width)}), task_observation_spec(task, True))
    state_size = layout_of(task, actor.observation.last_actions).size
    learner = AsymmetricActorCritic(actor, task, state_size, LearnerSettings(imitation=0.0, critic_hidden=width), 0)
    replay, rows = HindsightReplay(task, ReplaySettings()), _STEPS + 1
    for seed in range(_EPISODES):
        seen = _normal(rng, rows, actor.spec.bottleneck_size)
        vector, truth = _normal(rng, rows, actor.observation.vector_size), _normal(rng, rows, TruthLayout(task).size)
        state, action = _normal(rng, rows, state_size), _normal(rng, rows, 4)
        replay.add(Episode(seed, state, seen, seen, vector, truth, truth[0, :3], action, False))
    return _Measured(lambda: replay.sample(batch, rng), learner.update)  # type: ignore[arg-type]


def relay(width: int, batch: int) -> _Measured:
    """Return relay HER on episodes of random numbers."""
    task, rng = find_task(_TASK), np.random.default_rng(0)
    state_size, settings = layout_of(task, LAST_ACTIONS).size, RelaySettings(hidden=width, batch=batch)
    skills, rows = task.skills, _STEPS + 1
    learner = RelayLearner(state_size, skills, settings, 0)
    replay = RelayReplay(skills, settings, (slice(0, 2), slice(3, 5)), POSITION_UNIT_M)
    for seed in range(_EPISODES):
        achieved, asked = _normal(rng, rows, len(skills), 3), _normal(rng, rows, len(skills), 3)
        allowed, action = np.ones((rows, len(skills)), bool), _normal(rng, _STEPS, 4)
        replay.add(DecisionEpisode(seed, _normal(rng, rows, state_size), achieved, asked, allowed, action, False))
    return _Measured(lambda: replay.sample(batch, rng), learner.update)  # type: ignore[arg-type]


def main(arguments: list[str] | None = None) -> int:
    """Measure both in turn and print a table."""
    options_of = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options_of.add_argument("--width", type=int, default=256, help="units of a hidden layer")
    options_of.add_argument("--batch", type=int, default=256)
    options_of.add_argument("--rounds", type=int, default=20, help=f"of {_UPDATES} updates of each")
    options = options_of.parse_args(arguments)
    torch.set_num_threads(1)
    learners = {made.__name__: made(options.width, options.batch) for made in (imitating, relay)}
    for learner in learners.values():
        learner.round()  # the first one allocates
        learner.drawing_s.clear()
        learner.updating_s.clear()
    for _ in range(options.rounds):
        for learner in learners.values():
            learner.round()
    table = Table("learner", "updates/s", "ms an update", "ms a draw")
    for name, learner in learners.items():
        update_s, draw_s = min(learner.updating_s), min(learner.drawing_s)
        table.add_row(name, f"{1.0 / update_s:.1f}", f"{1e3 * update_s:.2f}", f"{1e3 * draw_s:.2f}")
    theirs, ours = (np.array(learner.updating_s) for learner in learners.values())
    console = Console()
    console.print(table)
    ratio = float(np.median(theirs / ours))
    console.print(f"width {options.width}, batch {options.batch}: {ratio:.2f} times as many updates")
    return 0


if __name__ == "__main__":
    sys.exit(main())
