"""The robot's base: where it stood when the arm was enabled, it has to stay."""

from __future__ import annotations

import math
from typing import Final

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.types import BasePose

# A Fetch publishes its odometry about a hundred times a second, and drives 0.5 m in this time at its full speed.
BASE_TIMEOUT_S: Final = 0.5


class BaseWatch:
    """Compares odometry with that of the moment when the arm was enabled, until it is disabled on purpose.

    A robot whose odometry has never come is not watched; from then on it may not cease. Times are the driver's.
    """

    def __init__(self, tolerance_m: float, *, lockstep: bool = False, reach_m: float = ARM.base_reach_m) -> None:
        """``tolerance_m``: how far the gripper may be from where the base's first pose would have it.

        A turn moves the gripper by ``reach_m`` per radian at most: how far it is from the base's axis.
        """
        self._tolerance_m, self._lockstep, self._reach_m = tolerance_m, lockstep, reach_m
        self._pose: BasePose | None = None
        self._arrived_ns: int | None = None
        self._anchor: BasePose | None = None
        self._anchored = False
        self._unreadable = False

    def on_pose(self, now_ns: int, pose: BasePose) -> None:
        """Odometry has come; one that is not finite counts as none, but shows that the robot has odometry."""
        self._unreadable = not pose.is_finite
        if pose.is_finite:
            self._pose, self._arrived_ns = pose, now_ns
            if self._anchored and self._anchor is None:
                self._anchor = pose

    def anchor(self) -> None:
        """The arm is enabled: here the base has to stay. Where it already has to stay somewhere, that remains."""
        self._anchored = True
        self._anchor = self._anchor or self._pose

    def release(self) -> None:
        """The arm is disabled on purpose: whoever enables it next says that the table is where it should be."""
        self._anchored, self._anchor = False, None

    def forget_times(self) -> None:
        """The driver's clock was set."""
        self._arrived_ns = None

    def objection(self, now_ns: int) -> str:
        """Why the arm must not follow commands by what is known of the base, empty if it may."""
        pose, anchor = self._pose, self._anchor
        if pose is None:
            return "the base's odometry is not finite: nobody can tell whether it moves" if self._unreadable else ""
        silent_s = math.inf if self._arrived_ns is None else (now_ns - self._arrived_ns) * 1e-9
        if silent_s > BASE_TIMEOUT_S and not self._lockstep:
            return (
                f"the base's odometry has ceased: nothing for {silent_s:.3f} s, allowed {BASE_TIMEOUT_S} s; set "
                "watch_base to false where nobody needs to know whether the base moves"
            )
        if anchor is None:
            return ""
        moved_m = math.hypot(pose.x_m - anchor.x_m, pose.y_m - anchor.y_m)
        turned_rad = abs(math.remainder(pose.yaw_rad - anchor.yaw_rad, math.tau))
        if moved_m + self._reach_m * turned_rad <= self._tolerance_m:
            return ""
        return (
            f"the base has moved by {moved_m:.3f} m and turned by {math.degrees(turned_rad):.1f} degrees since the arm "
            f"was enabled, allowed {self._tolerance_m:g} m at the gripper: put it back, or check the table and disable"
        )

    def words(self) -> str:
        """What is known, for /diagnostics."""
        if self._pose is None:
            return "no odometry has come"
        return f"{self._pose.x_m:.3f} m, {self._pose.y_m:.3f} m, {math.degrees(self._pose.yaw_rad):.1f} degrees"
