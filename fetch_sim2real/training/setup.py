"""The parts of a training run, built from what identifies them. Picklable, so that a worker can build its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import torch
from torch import nn

from fetch_sim2real.arm.limits import DEFAULT_PROFILE, limit_profile
from fetch_sim2real.common.ranges import Range
from fetch_sim2real.episode import ClosedLoop, make_loop
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.perception.preprocess import Channels
from fetch_sim2real.policy.look_rate import EVERY_FRAME, LookRate
from fetch_sim2real.policy.network import Actor, MemorySpec, build_actor
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.tasks.base import Task
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.training.actor_critic import StochasticActor
from fetch_sim2real.training.rollout import Collector, MakeCollector
from fetch_sim2real.training.specs import task_actor_spec, task_observation_spec
from fetch_sim2real.training.state_estimator import (
    NO_ERRORS,
    EncoderEstimator,
    EstimationErrors,
    RareLooks,
    StateEstimator,
    TrueStateEstimator,
)

# Factor on the limits of a robot without limits: more than any action asks for.
_UNLIMITED: Final = 100.0


@dataclass(frozen=True)
class Setting:
    """What is trained and where: task, world (name or path), and whether the actor is told its gripper's position.

    ``errors`` are those of seen positions, None where the actor looks at pictures; ``added_errors`` come on top of
    what its encoder then sees. ``picture_every`` n renders every n-th frame, 0 what the actor needs. ``channels`` is
    what the actor sees of a picture. ``memory`` is that of the actor. ``limited`` False takes the limits of velocity
    and acceleration away, which only a simulated robot stands: for comparison. ``look`` is how often the actor sees.
    """

    task: str
    world: str
    proprioception: bool
    errors: EstimationErrors | None
    picture_every: int = 0
    channels: Channels = "rgbd"
    limited: bool = True
    added_errors: EstimationErrors = NO_ERRORS
    memory: MemorySpec | None = None
    look: LookRate = EVERY_FRAME

    @property
    def definition(self) -> Task:
        """What is called ``task``."""
        return find_task(self.task)

    @property
    def hues_deg(self) -> list[Range]:
        """Those of the task's objects in the world."""
        return load_world(self.world, worlds_dir()).hues_of(self.definition)

    def build_actor(self, seed: int) -> Actor:
        """Return a new actor."""
        torch.manual_seed(seed)
        task = self.definition
        observation = task_observation_spec(task, self.proprioception, self.channels)
        return build_actor(task_actor_spec(task, self.proprioception, self.memory), observation)

    def several(self, count: int) -> tuple[list[ClosedLoop], list[StateEstimator], Actor]:
        """Return ``count`` environments, what estimates the state in each, and the actor whose encoder that is."""
        actor = self.build_actor(0).eval()
        return [self._loop() for _ in range(count)], [self._estimator(actor) for _ in range(count)], actor

    def _estimator(self, actor: Actor) -> StateEstimator:
        estimator: StateEstimator
        if self.errors is None:
            estimator = EncoderEstimator(actor, self.added_errors)
        else:
            estimator = TrueStateEstimator(actor, self.errors)
        return estimator if self.look == EVERY_FRAME else RareLooks(estimator, actor, self.look)

    def _loop(self) -> ClosedLoop:
        picture_every = self.picture_every or (1 if self.errors is None else 0)
        profile = limit_profile(DEFAULT_PROFILE)
        if not self.limited:
            profile = replace(
                profile, velocity=profile.velocity * _UNLIMITED, acceleration=profile.acceleration * _UNLIMITED
            )
        return make_loop(load_world(self.world, worlds_dir()), self.definition, picture_every, profile)

    def collector(self) -> MakeCollector:
        """Return what a worker builds."""
        return partial(_make_collector, self)


def _make_collector(setting: Setting) -> tuple[Collector, nn.Module]:
    policy = StochasticActor(setting.build_actor(0))
    policy.eval()
    estimator = setting._estimator(policy.actor)
    return Collector(setting._loop(), policy.actor, policy.sample, estimator), policy
