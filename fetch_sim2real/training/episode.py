"""An episode as it is learned from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.tasks.registry import Task

Float32 = NDArray[np.float32]
TRUTH_SIZE: Final = 7


@dataclass(frozen=True)
class Episode:
    """One episode of T steps.

    state (T+1, p): full simulator state, for the critics. bottleneck (T+1, b): what the actor sees in the picture;
    shown (T+1, b): what a perfect encoder would.
    vector (T+1, n): the actor's vector, its goal part included. truth (T+1, 7): present gripper and object position
    [m] in base_link and finger opening [m]. goal (3,) [m] in the task's goal frame. action (T+1, 4), the last one
    without a successor.
    """

    seed: int
    state: Float32
    bottleneck: Float32
    shown: Float32
    vector: Float32
    truth: Float32
    goal: Float32
    action: Float32
    success: bool

    def __len__(self) -> int:
        return len(self.action) - 1


ARRAYS: Final = ("state", "bottleneck", "vector", "truth", "action")


def achieved_goal(task: Task, truth: Float32) -> Float32:
    """The goals (..., 3) that the true positions (..., 7) reach, in the task's goal frame."""
    return task.achieved_goal(truth[..., :3], truth[..., 3:6])
