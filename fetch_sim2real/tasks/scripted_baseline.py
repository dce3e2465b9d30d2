"""Scripted baselines: simple closed-loop controllers on positions, for a batch of states.

They are told what the actor is told (estimated positions) and are functions of one moment's positions, so they work for
hindsight goals. Torch is imported where one is called: tasks are needed where there is no learning, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import torch

CLOSED: Final = -1.0
OPEN: Final = 1.0


class EstimatedState(NamedTuple):
    """Positions (B, 3) [m]: of the gripper and, by name, of each object in base_link; the goal in the task's frame.

    ``finger_m`` (B,) is the fingers' opening; ``coming_m`` (B, 3) the motion of the gripper that is commanded already
    and not measured yet.
    """

    grip_m: torch.Tensor
    objects_m: Mapping[str, torch.Tensor]
    goal_m: torch.Tensor
    finger_m: torch.Tensor
    coming_m: torch.Tensor


ScriptedBaseline = Callable[[EstimatedState], "torch.Tensor"]
"""Estimated state -> action (B, 4) in [-1, 1]."""


def motion(step_m: torch.Tensor, gain: float) -> torch.Tensor:
    """Return the first three components (B, 3) of the action that makes ``gain`` times the step (B, 3) [m]."""
    # Imported here: inverse kinematics come with it, and the names of tasks are needed by programs that start quickly.
    from fetch_sim2real.control.action import ACTION_SCALE_M

    return (step_m * (gain / ACTION_SCALE_M)).clamp(-1.0, 1.0)


def move(step_m: torch.Tensor, finger: float, gain: float) -> torch.Tensor:
    """Return the action (B, 4) that makes ``gain`` times the step (B, 3) [m], with the fingers at ``finger``."""
    import torch

    return torch.nn.functional.pad(motion(step_m, gain), (0, 1), value=finger)


def length(vector: torch.Tensor) -> torch.Tensor:
    """Return the lengths (B, 1) of vectors (B, n)."""
    return vector.norm(dim=-1, keepdim=True)


def rises(value: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """Return 0 up to ``low``, 1 from ``high`` on, straight between."""
    return ((value - low) / (high - low)).clamp(0.0, 1.0)


def falls(value: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """Return 1 up to ``low``, 0 from ``high`` on, straight between."""
    return 1.0 - rises(value, low, high)
