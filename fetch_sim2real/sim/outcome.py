"""How an episode ended: whether the goal was reached and held."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# Success is the goal held for this long at the end of the episode.
HOLD_S: Final = 0.5


@dataclass(frozen=True)
class Outcome:
    """How an episode ended. ``final_distance_m`` is gripper or object to goal, success as HOLD_S defines it."""

    seed: int
    success: bool
    final_distance_m: float
    steps: int
