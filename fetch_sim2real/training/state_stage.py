"""First stage: HER with an actor that observes true positions with a camera's delay and errors.

Its head takes what the encoder will give, so it is where the actor on pictures starts from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from fetch_sim2real.sim.full_state import layout_of
from fetch_sim2real.training.actor_critic import AsymmetricActorCritic, LearnerSettings
from fetch_sim2real.training.learn import LoopSettings, TrainingLoop
from fetch_sim2real.training.replay import HindsightReplay, ReplaySettings
from fetch_sim2real.training.rollout import Behaviour, RolloutRequest
from fetch_sim2real.training.run_directory import RunDirectory
from fetch_sim2real.training.setup import Setting
from fetch_sim2real.training.worker import make_worker


@dataclass(frozen=True)
class StageSettings:
    """Everything that shapes the stage; see the parts."""

    learner: LearnerSettings = field(default_factory=LearnerSettings)
    replay: ReplaySettings = field(default_factory=ReplaySettings)
    loop: LoopSettings = field(default_factory=LoopSettings)
    processes: int = 1


def without_imitation(stage: StageSettings) -> StageSettings:
    """Return ``stage`` for a task without a scripted baseline: nothing to imitate."""
    return replace(stage, learner=replace(stage.learner, imitation=0.0))


def train_with_her(setting: Setting, run: RunDirectory, stage: StageSettings, run_seed: int) -> float:
    """Train until done; returns the best success on held-out training seeds, whose learner is in ``run.best``."""
    learner = make_learner(setting, stage.learner, run_seed)
    replay = HindsightReplay(setting.definition, stage.replay)
    worker = make_worker(setting.collector(), stage.processes)
    try:
        warm_up: Behaviour = "scripted" if stage.learner.imitation > 0.0 else "random"
        return TrainingLoop(learner, replay, worker, run, stage.loop, run_seed, warm_up).train()
    finally:
        worker.close()


def make_learner(setting: Setting, settings: LearnerSettings, run_seed: int) -> AsymmetricActorCritic:
    """Return a new learner for ``setting``."""
    actor = setting.build_actor(run_seed)
    size = layout_of(setting.definition, actor.observation.last_actions).size
    return AsymmetricActorCritic(actor, setting.definition, size, settings, run_seed)


def measure_best(
    setting: Setting, run: RunDirectory, settings: LearnerSettings, seeds: Sequence[int]
) -> Iterator[bool]:
    """Yield whether the best actor of ``run`` succeeds, without exploring, in the episode of each seed."""
    collector, policy = setting.collector()()
    learner = make_learner(setting, settings, 0)
    learner.load_state_dict(run.load(run.best)["learner"])
    policy.load_state_dict(learner.policy.state_dict())
    for seed in seeds:
        yield collector.collect(RolloutRequest(seed, "deterministic")).success
    collector.loop.sim.close()
