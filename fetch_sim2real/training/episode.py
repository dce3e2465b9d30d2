"""An episode as it is learned from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.common.layout import Layout
from fetch_sim2real.episode import ClosedLoop
from fetch_sim2real.tasks.base import Task
from fetch_sim2real.types import FloatArray

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Episode:
    """One episode of T steps.

    state (T+1, p): full simulator state, for the critics. bottleneck (T+1, b): what the actor sees in the picture;
    shown (T+1, b): what a perfect encoder would.
    vector (T+1, n): the actor's vector, its goal part included. truth (T+1, k): present true positions, see
    ``TruthLayout``. goal (3,) [m] in the task's goal frame. action (T+1, 4), the last one without a successor.
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


class TruthLayout(Layout):
    """True positions (..., k) of a task as learning keeps them, arrays or tensors alike: gripper (3,) [m] in base_link,
    each of the task's bodies (3,) [m], finger opening (1,) [m].
    """

    GRIP, FINGER = "grip", "finger"

    def __init__(self, task: Task) -> None:
        super().__init__({self.GRIP: 3} | {_of(name): 3 for name in task.bodies} | {self.FINGER: 1})
        self._task = task

    def grip_m(self, truth: Any) -> Any:
        """Return the gripper's positions (..., 3)."""
        return self.part(truth, self.GRIP)

    def finger_m(self, truth: Any) -> Any:
        """Return the fingers' openings (...)."""
        return truth[..., self[self.FINGER].start]

    def objects_m(self, truth: Any) -> dict[str, Any]:
        """Return the bodies' positions (..., 3), by name."""
        return {name: self.part(truth, _of(name)) for name in self._task.bodies}

    def achieved_goal(self, truth: Any) -> Any:
        """Return the goals (..., 3) that true positions (..., k) reach, in the task's goal frame."""
        return self._task.achieved_goal(self.grip_m(truth), self.objects_m(truth))


def _of(name: str) -> str:
    return f"{name}.position"


def truth_now(loop: ClosedLoop) -> FloatArray:
    """Return what is true now, as ``TruthLayout`` says."""
    sim = loop.sim
    positions = (sim.grip_position_m, *sim.objects_m.values())
    return np.concatenate([*positions, [sim.measured().finger_position_m]])
