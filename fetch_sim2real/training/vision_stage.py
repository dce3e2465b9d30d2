"""Last stages: the expert is distilled into an actor that takes pictures, which is then fine-tuned on its own episodes.

The actor starts with the encoder from pretraining and the expert's head. *DAgger*: episodes of the actor itself, from
whose pictures the encoder is refitted and on which the head is fitted to the expert's actions, over and over.
*Fine-tuning*: soft actor-critic on the bottleneck, with the expert's critics, which see the full state and so need not
be learned anew.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from fetch_sim2real.common.workers import Pool, in_order
from fetch_sim2real.policy.default_observation import IMAGE
from fetch_sim2real.policy.network import Actor
from fetch_sim2real.training.actor_critic import AsymmetricActorCritic, StochasticActor
from fetch_sim2real.training.encoder import PretrainSettings, encode_all, pose_error, pretrain_encoder
from fetch_sim2real.training.episode import Episode
from fetch_sim2real.training.labelled_images import ImageAlbum, PoseImages
from fetch_sim2real.training.latency_randomization import LatencyRandomization
from fetch_sim2real.training.learn import TrainingLoop
from fetch_sim2real.training.replay import HindsightReplay
from fetch_sim2real.training.rollout import MakeCollector, RolloutRequest, RolloutWorker, Weights, weights_of
from fetch_sim2real.training.run_directory import RunDirectory
from fetch_sim2real.training.seeds import training_seeds
from fetch_sim2real.training.setup import Setting
from fetch_sim2real.training.state_stage import StageSettings, make_learner

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DistilSettings:
    """Passes over the transitions, batch size, learning rate."""

    epochs: int = 20
    batch: int = 256
    learning_rate: float = 3e-4


def distil(actor: Actor, expert: Actor, episodes: Sequence[Episode], settings: DistilSettings, run_seed: int) -> float:
    """Fit the head of ``actor`` to ``expert`` on the actor's episodes; returns the last mean squared error."""
    bottleneck, shown, vector = (
        torch.from_numpy(np.concatenate([getattr(episode, name) for episode in episodes]))
        for name in ("bottleneck", "shown", "vector")
    )
    expert = copy.deepcopy(expert).eval()
    with torch.inference_mode():
        wanted, _ = expert.act(shown, vector, expert.initial_state())
    wanted = wanted.clone()
    generator = torch.Generator().manual_seed(run_seed)
    optimizer = torch.optim.Adam(actor.head.parameters(), settings.learning_rate, fused=True)
    error = float("nan")
    for epoch in range(settings.epochs):
        order = torch.randperm(len(vector), generator=generator)
        total = 0.0
        for index in order.split(settings.batch):
            action, _ = actor.act(bottleneck[index], vector[index], actor.initial_state())
            loss = (action - wanted[index]).square().mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.item() * len(index)
        error = total / len(vector)
        if epoch in (0, settings.epochs - 1):
            _log.info("distilling, pass %d: mean squared difference of actions %.4f", epoch + 1, error)
    return error


@dataclass(frozen=True)
class DaggerSettings:
    """Rounds of collecting and refitting; one of so many pictures of the actor's episodes is kept for the encoder."""

    rounds: int = 2
    episodes: int = 60
    keep_every: int = 4
    # Refitting the encoder: on the new pictures and as many of the old ones as there are new ones times this.
    old_per_new: float = 2.0
    refit: PretrainSettings = field(default_factory=lambda: PretrainSettings(epochs=2, learning_rate=5e-4))
    distil: DistilSettings = field(default_factory=DistilSettings)
    random_share: float = 0.05
    latency_randomization: LatencyRandomization = field(default_factory=lambda: LatencyRandomization(moved_share=0.2))


class FilmedRolloutWorker:
    """Answers requests with episodes and with the labelled pictures of all their frames; see ``RolloutWorker``."""

    def __init__(self, make: MakeCollector) -> None:
        self._collector, module = make()
        self._worker = RolloutWorker(lambda: (self._collector, module))

    def answer(self, weights: Weights, request: RolloutRequest) -> tuple[Episode, PoseImages]:
        """Collect the episode."""
        album = ImageAlbum(self._collector.loop.sim, IMAGE)
        self._collector.watch = album.add
        return self._worker.answer(weights, request), album.images()

    def close(self) -> None:
        """Free the environment."""
        self._worker.close()


FilmingPool = Pool[Weights, RolloutRequest, tuple[Episode, PoseImages]]


def run_dagger(
    policy: StochasticActor,
    expert: Actor,
    pool: FilmingPool,
    old: PoseImages,
    settings: DaggerSettings,
    run_seed: int,
) -> list[Episode]:
    """Improve ``policy``'s actor in place, which ``pool`` acts with; returns the episodes of the last round.

    An episode's bottlenecks are from before its round's refit of the encoder; they are computed anew for the head.
    """
    rng = np.random.default_rng([run_seed, 5])
    seeds = training_seeds(run_seed, "dagger")
    episodes: list[Episode] = []
    actor = policy.actor
    for number in range(settings.rounds):
        episodes, pictures = _collect(pool, weights_of(policy), settings, seeds, rng)
        success = float(np.mean([episode.success for episode in episodes]))
        _log.info("DAgger round %d: %.2f of %d episodes succeed", number + 1, success, len(episodes))
        new = pictures.every(settings.keep_every)
        count = min(len(old), round(len(new) * settings.old_per_new))
        mixed = PoseImages.concatenate([new, old.pick(rng.choice(len(old), count, replace=False))])
        before = pose_error(actor, new)
        pretrain_encoder(actor, mixed, new, settings.refit, run_seed + number)
        _log.info("the encoder on the actor's own pictures: before %s, after %s", before, pose_error(actor, new))
        old = PoseImages.concatenate([old, new])
        episodes = _encoded_again(actor, episodes, pictures)
        distil(actor, expert, episodes, settings.distil, run_seed + number)
    return episodes


def _collect(
    pool: FilmingPool, weights: Weights, settings: DaggerSettings, seeds: Iterator[int], rng: np.random.Generator
) -> tuple[list[Episode], PoseImages]:
    requests = [
        RolloutRequest(next(seeds), "exploring", settings.latency_randomization.draw(rng), settings.random_share)
        for _ in range(settings.episodes)
    ]
    episodes, pictures = zip(*in_order(pool, weights, requests), strict=True)
    return list(episodes), PoseImages.concatenate(pictures)


def _encoded_again(actor: Actor, episodes: Sequence[Episode], pictures: PoseImages) -> list[Episode]:
    """The episodes with the bottlenecks that the encoder gives now; ``pictures`` are all their frames in order."""
    bottleneck = encode_all(actor, pictures)
    ends = np.cumsum([len(episode.vector) for episode in episodes])
    parts = np.split(bottleneck, ends[:-1])
    return [replace(episode, bottleneck=part) for episode, part in zip(episodes, parts, strict=True)]


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
