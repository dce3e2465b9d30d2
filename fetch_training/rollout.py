"""Collecting episodes: a pure function of weights, request and world, wherever it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import torch

from fetch_sim2real.observation.observe import (
    ACTION_SIZE,
    ActionHistory,
    Observation,
    ObservationSpec,
    observation_vector,
    observe,
)
from fetch_sim2real.policy.network import Actor
from fetch_sim2real.robot.joints import ARM_JOINTS, FINGER_MAX_M
from fetch_sim2real.sim.loop import ClosedLoop
from fetch_sim2real.sim.world import Captured
from fetch_sim2real.types import FloatArray
from fetch_training.demonstrators import Demonstrator
from fetch_training.episode import Episode, Float32, situation
from fetch_training.eye import EncoderEye, Eye, perfect_bottleneck

Behaviour = Literal["random", "exploring", "deterministic", "demonstrator"]
Sampler = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor, torch.Tensor]]
"""``AsymmetricActorCritic.sample_action``."""

# The critic's positions are centred here and in units of 20 cm, its velocities in rad/s and 0.2 m/s, its delays in
# 0.1 s.
_CENTRE_M: Final = np.array([0.63, 0.0, 0.80])
_POSITION_UNIT_M, _DELAY_UNIT_S = 0.2, 0.1
_OBJECT_SIZE_M, _OBJECT_MASS_KG = 0.025, 0.1
# A random direction kept for a while explores further than white noise.
_NEW_DIRECTION_SHARE: Final = 0.1


@dataclass(frozen=True)
class RolloutRequest:
    """One episode to collect. ``random_share`` of the exploring behaviour's actions is uniformly random."""

    seed: int
    behaviour: Behaviour
    move_block: bool = False
    random_share: float = 0.0


def full_state(loop: ClosedLoop, last_actions: FloatArray) -> FloatArray:
    """The full simulator state (p,) that the critic sees: positions, motion, commands, delays, the object's nature."""
    sim, draw = loop.sim, loop.sim.episode
    measured, thing = sim.measured(), draw.dynamics.object
    return np.concatenate(
        [
            (sim.grip_position_m - _CENTRE_M) / _POSITION_UNIT_M,
            (sim.block_position_m - _CENTRE_M) / _POSITION_UNIT_M,
            sim.object_rotation[:2].ravel(),
            sim.object_velocity / _POSITION_UNIT_M,
            [2.0 * measured.finger_position_m / FINGER_MAX_M - 1.0],
            sim.true_arm_position(),
            measured.velocity,
            loop.setpoint.position - measured.position,
            loop.setpoint.velocity,
            last_actions.ravel(),
            np.array([draw.camera_latency_s, draw.command_latency_s]) / _DELAY_UNIT_S,
            [thing.half_extents_m[0] / _OBJECT_SIZE_M, thing.mass_kg / _OBJECT_MASS_KG, thing.friction],
        ]
    )


def full_state_size(spec: ObservationSpec) -> int:
    """Length p of ``full_state``."""
    return 3 + 3 + 6 + 6 + 1 + 4 * len(ARM_JOINTS) + spec.last_actions * ACTION_SIZE + 2 + 3


def truth_now(loop: ClosedLoop) -> FloatArray:
    """Present gripper and object position [m] and finger opening [m], (7,)."""
    truth = loop.sim.truth()
    return np.concatenate([truth.grip_m, truth.object_m, [loop.sim.measured().finger_position_m]])


class Collector:
    """Collects episodes in one world with one actor, whose weights may change from episode to episode."""

    def __init__(
        self, loop: ClosedLoop, actor: Actor, sample: Sampler, eye: Eye, demonstrate: Demonstrator
    ) -> None:
        self.loop = loop
        self.actor = actor
        self._sample = sample
        self._eye = eye
        self._demonstrate = demonstrate
        # Called with every frame: for gathering pictures.
        self.watch: Callable[[Captured], None] | None = None

    def collect(self, request: RolloutRequest) -> Episode:
        """Run one episode; observations are those of the delayed frames."""
        loop, spec = self.loop, self.actor.observation
        rng = np.random.default_rng([request.seed, 7])
        draw = loop.reset(request.seed, request.move_block)
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
            states.append(full_state(loop, history.recent()))
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
            joints.finger_position_m, history.recent(),
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
                now = situation(*(torch.from_numpy(x.astype(np.float32))[None] for x in (truth, goal_m)))
                action = self._demonstrate(now)
            else:
                noise = torch.from_numpy(rng.standard_normal((1, ACTION_SIZE)).astype(np.float32))
                sampled, _, mean = self._sample(bottleneck, torch.from_numpy(vector)[None], noise)
                action = sampled if request.behaviour == "exploring" else mean
        chosen: FloatArray = action[0].numpy().astype(np.float64)
        return chosen


def observations_of_episode(loop: ClosedLoop, actor: Actor, seed: int, count: int) -> list[Observation]:
    """The first ``count`` observations of an episode run by the deterministic actor, made as the policy node does."""
    draw = loop.reset(seed)
    history, eye = ActionHistory(actor.observation.last_actions), EncoderEye(actor)
    observations: list[Observation] = []
    while len(observations) < count and (captured := loop.next_frame()) is not None:
        assert captured.frame is not None
        observation = observe(
            actor.observation, captured.frame, loop.sim.camera_model, loop.joints_at(captured), draw.goal_m,
            history.recent(), loop.grip_position_m,
        )  # fmt: skip
        observations.append(observation)
        bottleneck = eye.see(captured, loop.sim)
        with torch.inference_mode():
            action, _ = actor.act(bottleneck, torch.from_numpy(observation.vector)[None], actor.initial_state())
        chosen = action[0].numpy().astype(np.float64)
        history.push(chosen)
        loop.act(chosen, captured)
    return observations
