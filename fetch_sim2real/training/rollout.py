"""Collecting episodes: a pure function of weights, request and world, wherever it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import torch

from fetch_sim2real.episode import ClosedLoop
from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.perception.observe import (
    ACTION_SIZE,
    ActionHistory,
    Observation,
    observation_vector,
    observe,
)
from fetch_sim2real.policy.network import Actor
from fetch_sim2real.sim.disturbances.conditions import NO_CONDITIONS, Conditions
from fetch_sim2real.sim.full_state import full_state
from fetch_sim2real.sim.sensors.camera_timing import Captured
from fetch_sim2real.training.episode import Episode, Float32, TruthLayout, truth_now
from fetch_sim2real.training.estimated_state import estimated_state
from fetch_sim2real.training.state_estimator import EncoderEye, Eye, perfect_bottleneck
from fetch_sim2real.types import FloatArray

Behaviour = Literal["random", "exploring", "deterministic", "demonstrator"]
Sampler = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor, torch.Tensor]]
"""``AsymmetricActorCritic.sample_action``."""

# A random direction kept for a while explores further than white noise.
_NEW_DIRECTION_SHARE: Final = 0.1


@dataclass(frozen=True)
class RolloutRequest:
    """One episode to collect. ``random_share`` of the exploring behaviour's actions is uniformly random."""

    seed: int
    behaviour: Behaviour
    conditions: Conditions = NO_CONDITIONS
    random_share: float = 0.0


class Collector:
    """Collects episodes in one world with one actor, whose weights may change from episode to episode."""

    def __init__(self, loop: ClosedLoop, actor: Actor, sample: Sampler, eye: Eye) -> None:
        self.loop = loop
        self.actor = actor
        self._sample = sample
        self._eye = eye
        self._task = loop.sim.task
        self._truth = TruthLayout(self._task)
        # Called with every frame: for gathering pictures.
        self.watch: Callable[[Captured], None] | None = None

    def collect(self, request: RolloutRequest) -> Episode:
        """Run one episode; observations are those of the delayed frames."""
        loop, spec = self.loop, self.actor.observation
        rng = np.random.default_rng([request.seed, 7])
        draw = loop.reset(request.seed, conditions=request.conditions)
        self._eye.start(rng)
        history = ActionHistory(spec.last_actions)
        self._held = rng.uniform(-1.0, 1.0, ACTION_SIZE)
        states, bottlenecks, shown, vectors, truths, actions = [], [], [], [], [], []
        while (captured := loop.next_frame()) is not None:
            if self.watch is not None:
                self.watch(captured)
            bottleneck = self._eye.see(captured, loop.sim)
            vector = self._vector(captured, history)
            truth = truth_now(loop)
            action = self._choose(request, rng, bottleneck, vector, truth, draw.goal_m)
            states.append(full_state(loop.sim, loop.setpoint, history.recent()))
            truths.append(truth)
            bottlenecks.append(bottleneck[0].numpy())
            shown.append(perfect_bottleneck(self.actor, captured)[0].numpy())
            vectors.append(vector)
            actions.append(action)
            history.push(action)
            loop.act(action, captured)
        return Episode(
            seed=request.seed,
            state=np.array(states, np.float32),
            bottleneck=np.array(bottlenecks, np.float32),
            shown=np.array(shown, np.float32),
            vector=np.array(vectors, np.float32),
            truth=np.array(truths, np.float32),
            goal=draw.goal_m.astype(np.float32),
            action=np.array(actions, np.float32),
            success=loop.sim.outcome().success,
        )

    def _vector(self, captured: Captured, history: ActionHistory) -> Float32:
        loop = self.loop
        joints = loop.joints_at(captured)
        return observation_vector(
            self.actor.observation, loop.sim.episode.goal_m, loop.grip_position_m(joints.position),
            joints.finger_position_m, loop.grip_position_m(loop.setpoint.position), history.recent(),
        )  # fmt: skip

    def _choose(
        self, request: RolloutRequest, rng: np.random.Generator, bottleneck: torch.Tensor, vector: Float32,
        truth: FloatArray, goal_m: FloatArray,
    ) -> FloatArray:  # fmt: skip
        if request.behaviour == "random":
            if rng.random() < _NEW_DIRECTION_SHARE:
                self._held = rng.uniform(-1.0, 1.0, ACTION_SIZE)
            return self._held
        if request.behaviour != "deterministic" and rng.random() < request.random_share:
            return rng.uniform(-1.0, 1.0, ACTION_SIZE)
        with torch.inference_mode():
            if request.behaviour == "demonstrator":
                action = self._scripted(bottleneck, vector, truth, goal_m)
            else:
                noise = torch.from_numpy(rng.standard_normal((1, ACTION_SIZE)).astype(np.float32))
                sampled, _, mean = self._sample(bottleneck, torch.from_numpy(vector)[None], noise)
                action = sampled if request.behaviour == "exploring" else mean
        chosen: FloatArray = action[0].numpy().astype(np.float64)
        return chosen

    def _scripted(
        self, bottleneck: torch.Tensor, vector: Float32, truth: FloatArray, goal_m: FloatArray
    ) -> torch.Tensor:
        if self._task.scripted is None:
            raise FetchSim2RealError(
                f"the task '{self._task.name}' has no scripted baseline, expected one for the behaviour 'demonstrator'"
            )
        goal, now = (torch.from_numpy(values.astype(np.float32))[None] for values in (goal_m, truth))
        told, finger_m = torch.from_numpy(vector)[None], self._truth.finger_m(now)
        return self._task.scripted(estimated_state(self._task, self.actor, bottleneck, told, goal, finger_m))


def observations_of_episode(loop: ClosedLoop, actor: Actor, seed: int, count: int) -> list[Observation]:
    """The first ``count`` observations of an episode run by the deterministic actor, made as the policy node does."""
    draw = loop.reset(seed)
    history, eye = ActionHistory(actor.observation.last_actions), EncoderEye(actor)
    observations: list[Observation] = []
    while len(observations) < count and (captured := loop.next_frame()) is not None:
        assert captured.frame is not None
        observation = observe(
            actor.observation, captured.frame, loop.sim.camera_model, loop.joints_at(captured),
            loop.setpoint.position, draw.goal_m, history.recent(), loop.grip_position_m,
        )  # fmt: skip
        observations.append(observation)
        bottleneck = eye.see(captured, loop.sim)
        with torch.inference_mode():
            action, _ = actor.act(bottleneck, torch.from_numpy(observation.vector)[None], actor.initial_state())
        chosen = action[0].numpy().astype(np.float64)
        history.push(chosen)
        loop.act(chosen, captured)
    return observations
