"""What tests of relay HER share: a chain of two skills and episodes of it."""

from __future__ import annotations

import numpy as np

from fetch_sim2real.perception.observe import ACTION_SIZE
from fetch_sim2real.tasks.base import GOAL, Skill
from fetch_sim2real.training.relay_her import (
    Batch,
    DecisionEpisode,
    RelaySettings,
)

STATE_SIZE = 6
PLANAR = (slice(0, 2), slice(3, 5))
UNIT_M = 0.2
SMALL = RelaySettings(hidden=32, layers=2, batch=64, precision="float32")
SKILLS = (Skill("gripper", "gripper", "thing", hand_over_m=0.06), Skill("thing", "thing", GOAL))
REACH, BRING = 0, 1


def relay_episode(
    seed: int, state: np.ndarray, grip: np.ndarray, thing: np.ndarray, goal: np.ndarray, action: np.ndarray
) -> DecisionEpisode:
    achieved, asked = np.stack([grip, thing], axis=1), np.stack([thing, goal], axis=1)
    columns = (column.astype(np.float32) for column in (state, achieved, asked))
    return DecisionEpisode(seed, *columns, np.ones(achieved.shape[:2], bool), action.astype(np.float32), False)


def episode(seed: int, steps: int = 6, *, moves: bool = True) -> DecisionEpisode:
    rng = np.random.default_rng(seed)
    grip, thing = (np.cumsum(rng.normal(0.0, 0.05, (steps + 1, 3)), axis=0) for _ in range(2))
    if not moves:
        thing[:] = thing[0]
    goal = np.tile(rng.normal(0.0, 0.2, 3), (steps + 1, 1))
    action = rng.uniform(-1.0, 1.0, (steps, ACTION_SIZE))
    return relay_episode(seed, np.concatenate([grip, thing], axis=1) / UNIT_M, grip, thing, goal, action)


def steps_of(batch: Batch, one: DecisionEpisode) -> np.ndarray:
    """Which transition of the episode each row is."""
    return (batch.action.numpy()[:, None] == one.action[None]).all(-1).argmax(1)
