"""Collecting episodes: a pure function of actor weights, episode seed and world."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from fetch_sim2real.observation.observe import ActionHistory, observe
from fetch_sim2real.policy.network import Actor
from fetch_sim2real.sim.loop import ClosedLoop
from fetch_sim2real.sim.world import SimWorld
from fetch_sim2real.types import FloatArray
from fetch_training.replay import Episode

Choose = Callable[[torch.Tensor, torch.Tensor], FloatArray]
"""bottleneck (1, b), vector (1, n) -> action (4,)."""

# The critic's positions are centred here and given in units of 20 cm, velocities in rad/s, delays in tenths of a second.
_CENTRE_M = np.array([0.63, 0.0, 0.80])
_POSITION_UNIT_M, _DELAY_UNIT_S = 0.2, 0.1


def full_state(sim: SimWorld, loop: ClosedLoop, last_actions: FloatArray) -> FloatArray:
    """The full simulator state that the critic sees (p,): true positions, joints, commands, actions in flight, delays."""
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


def collect_episode(loop: ClosedLoop, actor: Actor, choose: Choose, seed: int, move_block: bool) -> Episode:
    """Run one episode with ``choose`` picking the actions; observations are those of the delayed frames."""
    draw = loop.reset(seed, move_block)
    spec = actor.observation
    history = ActionHistory(spec.last_actions)
    states, bottlenecks, vectors, achieved, actions = [], [], [], [], []
    while (captured := loop.next_frame()) is not None:
        assert captured.frame is not None
        observation = observe(
            spec, captured.frame, loop.sim.camera_model, loop.joints_at(captured), draw.goal_offset_m,
            history.recent(), loop.grip_position_m,
        )  # fmt: skip
        with torch.inference_mode():
            bottleneck = actor.encode(
                torch.from_numpy(observation.image.rgb)[None], torch.from_numpy(observation.image.depth_mm)[None]
            )
        vector = torch.from_numpy(observation.vector)[None]
        action = choose(bottleneck, vector)
        states.append(full_state(loop.sim, loop, history.recent()))
        achieved.append(achieved_offset_m(loop.sim))
        bottlenecks.append(bottleneck[0].numpy())
        vectors.append(observation.vector)
        actions.append(action)
        history.push(action)
        loop.act(action, captured)
    outcome = loop.sim.outcome()
    return Episode(
        seed=seed,
        state=np.array(states, np.float32),
        bottleneck=np.array(bottlenecks, np.float32),
        vector=np.array(vectors, np.float32),
        achieved=np.array(achieved, np.float32),
        goal=draw.goal_offset_m.astype(np.float32),
        # The last observation has no successor.
        action=np.array(actions[:-1], np.float32),
        success=outcome.success,
    )
