"""The tasks: what has to be where. How starts and goals are drawn stands in world files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, TypeVar

from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.graph import BASE_FRAME, BLOCK_FRAME


class SupportsDifference(Protocol):
    """What numpy's arrays and torch's tensors have in common here."""

    def __sub__(self, other: Any, /) -> Any: ...


Object = Literal["block", "puck"]
Target = Literal["gripper", "object"]
Position = TypeVar("Position", bound=SupportsDifference)


@dataclass(frozen=True)
class Task:
    """One goal-conditioned task.

    ``target`` is what has to be at the goal, ``goal_frame`` the frame of goals, ``controls_gripper`` whether the action
    opens the fingers (else they stay closed), ``object`` what lies on the table (None: nothing).
    """

    name: str
    description: str
    target: Target
    goal_frame: str
    controls_gripper: bool
    object: Object | None

    def achieved_goal(self, grip_m: Position, object_m: Position) -> Position:
        """The goal (..., 3) [m] that gripper and object (..., 3) in base_link reach, in the task's goal frame.

        Arrays or tensors alike.
        """
        if self.target == "object":
            return object_m
        return grip_m - object_m if self.goal_frame == BLOCK_FRAME else grip_m


_ALL: Final = (
    Task("reach", "bring the gripper to a place", "gripper", BASE_FRAME, False, None),
    Task("reach_block", "bring the gripper to a place relative to the block", "gripper", BLOCK_FRAME, False, "block"),
    Task("push", "push the block along the table to a place", "object", BASE_FRAME, False, "block"),
    Task("slide", "strike the puck so that it stops at a place out of reach", "object", BASE_FRAME, False, "puck"),
    Task("pick_and_place", "carry the block to a place on or above the table", "object", BASE_FRAME, True, "block"),
)
TASKS: Final[dict[str, Task]] = {task.name: task for task in _ALL}


def find_task(name: str) -> Task:
    """The task called ``name``; FetchSim2RealError names the available ones."""
    try:
        return TASKS[name]
    except KeyError:
        raise FetchSim2RealError(f"task '{name}' is unknown, available: {', '.join(TASKS)}") from None
