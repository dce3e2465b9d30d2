"""Collecting episodes: a pure function of actor weights, episode seed and world."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from fetch_sim2real.observation.observe import (
    ACTION_SIZE,
    ActionHistory,
    Observation,
    ObservationSpec,
    observe,
)
from fetch_sim2real.policy.network import Actor
from fetch_sim2real.robot.joints import ARM_JOINTS
from fetch_sim2real.sim.loop import ClosedLoop
from fetch_sim2real.sim.world import Captured, SimWorld
from fetch_sim2real.types import FloatArray
from fetch_training.replay import Episode

Choose = Callable[[torch.Tensor, torch.Tensor], FloatArray]
"""bottleneck (1, b), vector (1, n) -> action (4,)."""

# The critic's positions are centred here and in units of 20 cm, its velocities in rad/s, its delays in 0.1 s.
_CENTRE_M = np.array([0.63, 0.0, 0.80])
_POSITION_UNIT_M, _DELAY_UNIT_S = 0.2, 0.1


def full_state(sim: SimWorld, loop: ClosedLoop, last_actions: FloatArray) -> FloatArray:
    """The full simulator state (p,) that the critic sees: true positions, joints, commands, last actions, delays."""
    measured = sim.measured()
    draw = sim.episode
    return np.concatenate(
        [
            (sim.grip_position_m - _CENTRE_M) / _POSITION_UNIT_M,
            (sim.block_position_m - _CENTRE_M) / _POSITION_UNIT_M,
            sim.true_arm_position(),
            measured.velocity,
            loop.setpoint.position - measured.position,
            loop.setpoint.velocity,
            last_actions.ravel(),
            np.array([draw.camera_latency_s, draw.command_latency_s]) / _DELAY_UNIT_S,
        ]
    )


def achieved_offset_m(sim: SimWorld) -> FloatArray:
    """What the goal is compared with: gripper relative to block (3,) [m]."""
    return sim.grip_position_m - sim.block_position_m


def full_state_size(spec: ObservationSpec) -> int:
    """Length p of ``full_state``."""
    return 3 + 3 + 4 * len(ARM_JOINTS) + spec.last_actions * ACTION_SIZE + 2


def look(loop: ClosedLoop, spec: ObservationSpec, captured: Captured, history: ActionHistory) -> Observation:
    """The observation of a frame, as the policy node makes it."""
    assert captured.frame is not None, "the loop's world was made without a camera"
    return observe(
        spec, captured.frame, loop.sim.camera_model, loop.joints_at(captured), loop.sim.episode.goal_m,
        history.recent(), loop.grip_position_m,
    )  # fmt: skip


def collect_episode(loop: ClosedLoop, actor: Actor, choose: Choose, seed: int, move_block: bool) -> Episode:
    """Run one episode with ``choose`` picking the actions; observations are those of the delayed frames."""
    draw = loop.reset(seed, move_block)
    history = ActionHistory(actor.observation.last_actions)
    states, bottlenecks, vectors, achieved, actions = [], [], [], [], []
    while (captured := loop.next_frame()) is not None:
        observation = look(loop, actor.observation, captured, history)
        bottleneck = encode(actor, observation)
        action = choose(bottleneck, torch.from_numpy(observation.vector)[None])
        states.append(full_state(loop.sim, loop, history.recent()))
        achieved.append(achieved_offset_m(loop.sim))
        bottlenecks.append(bottleneck[0].numpy())
        vectors.append(observation.vector)
        actions.append(action)
        history.push(action)
        loop.act(action, captured)
    return Episode(
        seed=seed,
        state=np.array(states, np.float32),
        bottleneck=np.array(bottlenecks, np.float32),
        vector=np.array(vectors, np.float32),
        achieved=np.array(achieved, np.float32),
        goal=draw.goal_m.astype(np.float32),
        # The last observation has no successor.
        action=np.array(actions[:-1], np.float32),
        success=loop.sim.outcome().success,
    )


def encode(actor: Actor, observation: Observation) -> torch.Tensor:
    """Bottleneck (1, b) of one observation."""
    image = observation.image
    with torch.inference_mode():
        return actor.encode(torch.from_numpy(image.rgb)[None], torch.from_numpy(image.depth_mm)[None])


def deterministic(actor: Actor) -> Choose:
    """The actor's own action, as deployed."""

    def choose(bottleneck: torch.Tensor, vector: torch.Tensor) -> FloatArray:
        with torch.inference_mode():
            action, _ = actor.act(bottleneck, vector, actor.initial_state())
        chosen: FloatArray = action[0].numpy().astype(np.float64)
        return chosen

    return choose


def observations_of_episode(loop: ClosedLoop, actor: Actor, seed: int, count: int) -> list[Observation]:
    """The first ``count`` observations of an episode run by the deterministic actor."""
    loop.reset(seed)
    history = ActionHistory(actor.observation.last_actions)
    choose = deterministic(actor)
    observations: list[Observation] = []
    while len(observations) < count and (captured := loop.next_frame()) is not None:
        observation = look(loop, actor.observation, captured, history)
        observations.append(observation)
        action = choose(encode(actor, observation), torch.from_numpy(observation.vector)[None])
        history.push(action)
        loop.act(action, captured)
    return observations
