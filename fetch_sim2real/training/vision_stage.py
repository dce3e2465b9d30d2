"""Fine-tuning an actor on pictures: soft actor-critic on the bottleneck, with critics that see the full state."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from fetch_sim2real.training.actor_critic import AsymmetricActorCritic
from fetch_sim2real.training.episode import Episode
from fetch_sim2real.training.learn import TrainingLoop
from fetch_sim2real.training.replay import HindsightReplay
from fetch_sim2real.training.rollout import RolloutWorker
from fetch_sim2real.training.run_directory import RunDirectory
from fetch_sim2real.training.setup import Setting
from fetch_sim2real.training.state_stage import StageSettings, make_learner


def fine_tune(
    learner: AsymmetricActorCritic,
    setting: Setting,
    first: Sequence[Episode],
    run: RunDirectory,
    stage: StageSettings,
    run_seed: int,
) -> float:
    """Go on with actor-critic learning on pictures; ``first`` are episodes to start from."""
    replay = HindsightReplay(setting.definition, stage.replay)
    for episode in first:
        replay.add(episode)
    pool = stage.workplace.pool(partial(RolloutWorker, setting.collector()))
    try:
        return TrainingLoop(learner, replay, pool, run, stage.loop, run_seed, "exploring").train()
    finally:
        pool.close()


def learner_from(
    expert_state: dict[str, Any], setting: Setting, stage: StageSettings, seed: int
) -> AsymmetricActorCritic:
    """Return a learner for pictures with head, spread, critics and temperature of the expert's."""
    learner = make_learner(setting, stage.learner, seed)
    learner.load_state_dict(expert_state)
    learner.imitate_first()
    return learner
