"""What the robot says of itself, and whether it can be believed: joints and torso, by stamps and arrival; its base.

In real time a stamp alone says nothing: the robot's clock may be set, or be another one. So what counts is the stamp,
but no later than the arrival; a stamp ahead of the driver's clock is refused, and several that belong to another time
than those before them are a clock that was set. In lockstep the simulation keeps the only clock, and all is believed.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.spec import ArmSpec
from fetch_sim2real.common.stamp_sequence import CONFIRMING_STAMPS, StampSequence, StampVerdict
from fetch_sim2real.control.checks import FilterSettings
from fetch_sim2real.errors import ObservationError
from fetch_sim2real.messages.joint_states import JointStateMerger
from fetch_sim2real.types import BasePose, JointSample
from fetch_sim2real.workcell import TORSO_TOLERANCE_M

# A Fetch's torso is in every message of the arm's joints; it moves 3 cm in this time at its full 0.1 m/s.
TORSO_TIMEOUT_S: Final = 0.3
# A Fetch publishes its odometry about a hundred times a second, and drives 0.5 m in this time at its full speed.
BASE_TIMEOUT_S: Final = 0.5
_S: Final = 1e-9
_JOINTS_TIMEOUT_S: Final = FilterSettings.joint_sample_timeout_s
_MAX_AHEAD_S: Final = FilterSettings.max_joints_ahead_s
_CHECK: Final = "check that the robot publishes /joint_states"
_NONE_YET: Final = "no joint state has come since the clock was set or the robot was lost"
_CLOCKS: Final = "synchronize the clocks of both machines, for example with chrony"


@dataclass(frozen=True)
class _Heard:
    """A joint state that came: its own stamp, and when by the driver's clock [ns]."""

    stamp_ns: int
    arrived_ns: int

    @property
    def ahead_s(self) -> float:
        return (self.stamp_ns - self.arrived_ns) * _S


class RobotReadings:
    """Joints and torso of one robot. Times are the driver's, which goes on steadily."""

    def __init__(
        self, torso_height_m: float, *, simulated: bool = False, lockstep: bool = False, arm: ArmSpec = ARM
    ) -> None:
        """``torso_height_m``: what the world file says. ``simulated``: the driver's time comes in messages, too."""
        self._arm = arm
        self._torso_height_m, self._simulated, self._lockstep = torso_height_m, simulated, lockstep
        self._merger = JointStateMerger(needs_fingers=False, arm=arm)
        self._sequence = StampSequence()
        self._sample: JointSample | None = None
        self._heard: _Heard | None = None
        self._repeats = self._others = 0
        self._ahead: list[_Heard] = []
        self._torso_arrived_ns: int | None = None
        self._unreadable = ""
        self._clock_step = ""
        self._counts: Counter[str] = Counter()

    @property
    def sample(self) -> JointSample | None:
        """The newest sample that can be believed, stamped no later than it came; None while there is none."""
        return self._sample

    @property
    def torso_height_m(self) -> float | None:
        """Height of the torso; None if the robot has never told."""
        return self._merger.torso_height_m

    def forget(self) -> None:
        """Forget what was heard: the driver's clock, or the way to the robot, is another one."""
        self._sequence.forget()
        self._sample = self._heard = self._torso_arrived_ns = None
        self._ahead.clear()

    def take(self, message: Any, now_ns: int) -> JointSample | None:
        """Return the sample that ``message`` completes at ``now_ns``; None if it is no new one.

        ObservationError for what cannot be read or cannot be believed; it is counted, and replaces nothing.
        """
        # A simulation that jumps ahead and stands still there may be heard before its clock: what it repeats is judged
        # again.
        was_early = self._simulated and bool(self._ahead)
        torso_stamp_ns = self._merger.torso_stamp_ns
        try:
            sample = self._merger.merge(message)
        except ObservationError as error:
            self._unreadable = str(error)
            self._counts["unreadable"] += 1
            raise
        finally:
            if was_early or self._merger.torso_stamp_ns != torso_stamp_ns:
                self._torso_arrived_ns = now_ns
        if sample is None:
            self._others += 1
            return None
        self._unreadable = ""
        if self._heard is not None and sample.stamp_ns == self._heard.stamp_ns and not was_early:
            self._repeats += 1  # a simulation that stands still does that, and a publisher that is stuck
            return None
        self._repeats = self._others = 0
        self._heard = _Heard(sample.stamp_ns, now_ns)
        if not self._lockstep:
            self._require_credible(self._heard)
            # No state is of a later time than it came.
            sample = replace(sample, stamp_ns=min(sample.stamp_ns, now_ns))
        self._sample = sample
        return sample

    def take_clock_step(self) -> str:
        """Return that the robot's clock was set, once; empty if it was not."""
        told, self._clock_step = self._clock_step, ""
        return told

    def objection(self, now_ns: int) -> str:
        """Return why the arm must not follow commands by what is known of the robot, empty if it may."""
        return self._objection_to_joints(now_ns) or self._objection_to_torso(now_ns)

    def report(self) -> dict[str, object]:
        """Return counts of joint states that were not taken, for /diagnostics."""
        return {
            "bad_joint_states": self._counts["unreadable"],
            "joint_states_ahead": self._counts["ahead"],
            "joint_states_out_of_order": self._counts["out_of_order"],
        }

    def _require_credible(self, heard: _Heard) -> None:
        """Raise ObservationError for a stamp that is ahead, or before those that came earlier."""
        if heard.ahead_s > _MAX_AHEAD_S:
            self._counts["ahead"] += 1
            self._note_ahead(heard)
            raise ObservationError(f"joint state stamped {heard.ahead_s:.3f} s ahead of this machine's clock: refused")
        self._ahead.clear()
        verdict = self._sequence.judge(heard.stamp_ns)
        back_s = -self._sequence.odd_ns * _S
        if verdict is StampVerdict.NEW_CLOCK:
            self._clock_step = f"the robot's clock was set: its joint states are stamped {back_s:.3f} s earlier"
        elif not verdict.is_taken:
            self._counts["out_of_order"] += 1
            raise ObservationError(f"joint state stamped {back_s:.3f} s before one that came earlier: refused")

    def _note_ahead(self, heard: _Heard) -> None:
        """Several in a row that advance are of a clock that was set, not strays."""
        if self._ahead and heard.stamp_ns <= self._ahead[-1].stamp_ns:
            self._ahead.clear()
        self._ahead = [*self._ahead, heard][-CONFIRMING_STAMPS:]
        if self._sample is not None and len(self._ahead) == CONFIRMING_STAMPS:
            self._clock_step = f"the robot's clock was set: its joint states are stamped {heard.ahead_s:.3f} s ahead"
            self._sample = None

    def _objection_to_joints(self, now_ns: int) -> str:
        heard, sample = self._heard, self._sample
        if heard is None:
            return self._unreadable or f"{self._merger.missing() or _NONE_YET}: {_CHECK}"
        if self._lockstep:
            return ""  # the filter judges the age by the simulation's clock, which waits
        if sample is not None and (now_ns - sample.stamp_ns) * _S <= _JOINTS_TIMEOUT_S:
            return ""
        if heard.stamp_ns == 0:
            return "the joint states carry no stamp, so that nobody can tell how old they are: let the robot stamp them"
        if sample is not None and 0 < len(self._ahead) < CONFIRMING_STAMPS:
            age_s, count = (now_ns - sample.stamp_ns) * _S, len(self._ahead)
            came = f"{count} that came after it {'was' if count == 1 else 'were'} stamped {heard.ahead_s:.3f} s ahead"
            return f"the last joint state is {age_s:.3f} s old, allowed {_JOINTS_TIMEOUT_S} s: {came}"
        is_off = heard.ahead_s > _MAX_AHEAD_S or -heard.ahead_s > _JOINTS_TIMEOUT_S
        if is_off and (now_ns - heard.arrived_ns) * _S <= _JOINTS_TIMEOUT_S:
            way = "ahead of" if heard.ahead_s > 0.0 else "behind"
            return f"the joint states are stamped {abs(heard.ahead_s):.3f} s {way} this machine's clock: {_CLOCKS}"
        cause = self._unreadable or self._merger.missing() or _CHECK
        if cause is _CHECK and self._repeats:
            cause = f"its stamp has come {self._repeats} times since"
        elif cause is _CHECK and self._others:
            cause = f"{self._others} messages have come since, without joints of the arm"
        age_s = (now_ns - min(heard.stamp_ns, heard.arrived_ns)) * _S
        return f"the last joint state is {age_s:.3f} s old, allowed {_JOINTS_TIMEOUT_S} s: {cause}"

    def _objection_to_torso(self, now_ns: int) -> str:
        height_m = self.torso_height_m
        if height_m is None:
            return ""
        if not abs(height_m - self._torso_height_m) <= TORSO_TOLERANCE_M:
            said_m = self._torso_height_m
            return f"the torso is at {height_m:.3f} m, the world file says {said_m:.3f} m: correct one of them"
        if self._lockstep:
            return ""
        arrived_ns = self._torso_arrived_ns
        silent_s = np.inf if arrived_ns is None else (now_ns - arrived_ns) * _S
        if silent_s <= TORSO_TIMEOUT_S:
            return ""
        return (
            f"the last state of {self._arm.torso_joint} is {silent_s:.3f} s old, allowed {TORSO_TIMEOUT_S} s: every "
            "clearance depends on its height"
        )


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
        """Take odometry; one that is not finite counts as none, but shows that the robot has odometry."""
        self._unreadable = not pose.is_finite
        if pose.is_finite:
            self._pose, self._arrived_ns = pose, now_ns
            if self._anchored and self._anchor is None:
                self._anchor = pose

    def anchor(self) -> None:
        """Have the base stay where it is: the arm is enabled. Where it already has to stay somewhere, that remains."""
        self._anchored = True
        self._anchor = self._anchor or self._pose

    def release(self) -> None:
        """Let the base go: the arm is disabled on purpose. Who enables it next says that the table is in its place."""
        self._anchored, self._anchor = False, None

    def forget_times(self) -> None:
        """Forget when poses came: the driver's clock was set."""
        self._arrived_ns = None

    def objection(self, now_ns: int) -> str:
        """Return why the arm must not follow commands by what is known of the base, empty if it may."""
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
        """Return what is known, for /diagnostics."""
        if self._pose is None:
            return "no odometry has come"
        return f"{self._pose.x_m:.3f} m, {self._pose.y_m:.3f} m, {math.degrees(self._pose.yaw_rad):.1f} degrees"
