"""Judges goals: each is accepted, or refused with a reason."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fetch_sim2real.graph import BASE_FRAME, COLOR_OPTICAL_FRAME
from fetch_sim2real.messages.statuses import GoalStatus, encode_status
from fetch_sim2real.perception.camera import Pose
from fetch_sim2real.policy.manifest import GoalRecord
from fetch_sim2real.types import FloatArray, Goal


@dataclass(frozen=True)
class GoalVerdict:
    """``position_m`` (3,) is in the policy's own goal frame, None where the goal is refused for ``reason``."""

    goal: Goal
    position_m: FloatArray | None
    reason: str

    def text(self) -> str:
        """Return JSON for the goal status topic."""
        return encode_status(
            GoalStatus(
                accepted=self.position_m is not None,
                reason=self.reason,
                frame_id=self.goal.frame_id,
                position_m=tuple(float(x) if np.isfinite(x) else str(x) for x in self.goal.position_m),
            )
        )


def judge_goal(goal: Goal, record: GoalRecord, base_T_camera: Pose) -> GoalVerdict:
    """Judge whether the policy can take ``goal``: its frame, its numbers, and the region that was trained."""

    def refused(reason: str) -> GoalVerdict:
        return GoalVerdict(goal, None, reason)

    if goal.frame_id not in record.accepted_frames:
        return refused(f"frame {goal.frame_id!r} is not accepted, expected one of {', '.join(record.accepted_frames)}")
    if not np.all(np.isfinite(goal.position_m)):
        return refused(f"position {goal.position_m.tolist()} is not finite")
    position_m = _in_frame(goal, record.frame, base_T_camera)
    if position_m is None:
        return refused(f"a goal in frame {goal.frame_id!r} cannot be converted to the policy's '{record.frame}'")
    if not record.contains(position_m):
        return refused(
            f"position {np.round(position_m, 4).tolist()} m in '{record.frame}' is outside the trained region, "
            f"{list(record.lower_m)} to {list(record.upper_m)} m"
        )
    return GoalVerdict(goal, position_m, "accepted")


def _in_frame(goal: Goal, frame: str, base_T_camera: Pose) -> FloatArray | None:
    if goal.frame_id == frame:
        return goal.position_m
    if (goal.frame_id, frame) == (COLOR_OPTICAL_FRAME, BASE_FRAME):
        return base_T_camera.apply(goal.position_m)
    if (goal.frame_id, frame) == (BASE_FRAME, COLOR_OPTICAL_FRAME):
        return base_T_camera.inverse().apply(goal.position_m)
    return None
