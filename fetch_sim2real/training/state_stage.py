"""First stage: HER with an actor that observes true positions with a camera's delay and errors.

Its head takes what the encoder will give, so it is where the actor on pictures starts from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial

from fetch_sim2real.common.workers import HERE, Workplace, in_order
from fetch_sim2real.sim.full_state import layout_of
from fetch_sim2real.training.actor_critic import AsymmetricActorCritic, LearnerSettings
from fetch_sim2real.training.learn import LoopSettings, TrainingLoop
from fetch_sim2real.training.replay import HindsightReplay, ReplaySettings
from fetch_sim2real.training.rollout import Behaviour, RolloutRequest, RolloutWorker, weights_of
from fetch_sim2real.training.run_directory import RunDirectory
from fetch_sim2real.training.setup import Setting


@dataclass(frozen=True)
class StageSettings:
    """Everything that shapes the stage; see the parts."""

    learner: LearnerSettings = field(default_factory=LearnerSettings)
    replay: ReplaySettings = field(default_factory=ReplaySettings)
    loop: LoopSettings = field(default_factory=LoopSettings)
    workplace: Workplace = HERE


def without_imitation(stage: StageSettings) -> StageSettings:
    """Return ``stage`` for a task without a scripted baseline: nothing to imitate."""
    return replace(stage, learner=replace(stage.learner, imitation=0.0))


def train_with_her(setting: Setting, run: RunDirectory, stage: StageSettings, run_seed: int) -> float:
    """Train until done; returns the best success on held-out training seeds, whose learner is in ``run.best``."""
    learner = make_learner(setting, stage.learner, run_seed)
    replay = HindsightReplay(setting.definition, stage.replay)
    pool = stage.workplace.pool(partial(RolloutWorker, setting.collector()))
    try:
        warm_up: Behaviour = "scripted" if stage.learner.imitation > 0.0 else "random"
        return TrainingLoop(learner, replay, pool, run, stage.loop, run_seed, warm_up).train()
    finally:
        pool.close()


def make_learner(setting: Setting, settings: LearnerSettings, run_seed: int) -> AsymmetricActorCritic:
    """Return a new learner for ``setting``."""
    actor = setting.build_actor(run_seed)
    size = layout_of(setting.definition, actor.observation.last_actions).size
    return AsymmetricActorCritic(actor, setting.definition, size, settings, run_seed)


def measure_best(
    setting: Setting,
    run: RunDirectory,
    settings: LearnerSettings,
    seeds: Sequence[int],
    workplace: Workplace = HERE,
) -> Iterator[bool]:
    """Yield whether the best actor of ``run`` succeeds, without exploring, in the episode of each seed."""
    learner = make_learner(setting, settings, 0)
    learner.load_state_dict(run.load(run.best)["learner"])
    requests = [RolloutRequest(seed, "deterministic") for seed in seeds]
    with closing(workplace.pool(partial(RolloutWorker, setting.collector()))) as pool:
        for episode in in_order(pool, weights_of(learner.policy), requests):
            yield episode.success
