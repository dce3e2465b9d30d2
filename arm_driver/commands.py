"""Commands as they come in: validated before the safety filter, counted by what became of them."""

from __future__ import annotations

from collections import Counter
from typing import Final

import numpy as np
from trajectory_msgs.msg import JointTrajectory

from fetch_sim2real.arm.limits import PROFILES, LimitProfile
from fetch_sim2real.common.validation import shortened
from fetch_sim2real.control.checks import Refusal
from fetch_sim2real.control.filter import Decision
from fetch_sim2real.control.limiter import Rule
from fetch_sim2real.errors import CommandError
from fetch_sim2real.messages.motion import decode_command, decode_limit_profile
from fetch_sim2real.ros.latency import Latencies, Rate
from fetch_sim2real.types import JointCommand


def validated_command(message: JointTrajectory, commanders: int, profile: LimitProfile) -> JointCommand | Refusal:
    """Return the command in ``message``, or why the safety filter does not even look at its numbers."""
    if commanders > 1:
        return Refusal("second_commander", f"{commanders} nodes publish commands, expected one: end the others")
    trained = decode_limit_profile(message)
    if trained:
        if trained not in PROFILES:
            known = ", ".join(PROFILES)
            return Refusal("profile", f"limit profile {shortened(repr(trained))} is unknown, available: {known}")
        if PROFILES[trained].is_faster_than(profile):
            return Refusal(
                "profile",
                f"the policy was trained with limit profile '{trained}', which is faster than this driver's "
                f"'{profile.name}'",
            )
    try:
        return decode_command(message)
    except CommandError as error:
        return Refusal("wrong_joints", str(error))


# So long may an arm stand at a limit, as where it turns round, before somebody is told.
TOLD_AFTER_S: Final = 1.0
# Limits of place: at those of speed an arm moves.
_HOLDING: Final = Rule.POSITION | Rule.WORKSPACE | Rule.TABLE | Rule.BODY | Rule.SELF_COLLISION
_AT_REST_RAD_S: Final = 1e-3


class LimitMonitor:
    """Takes note of each decision about a command."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._since_ns: int | None = None
        self._now_ns = 0
        self._by = Rule.NONE

    def note(self, now_ns: int, decision: Decision) -> None:
        """Note that a command has been judged."""
        self._counts.update(_names(decision.rules))
        self._now_ns = now_ns
        rests = not np.any(np.abs(decision.setpoint.velocity) > _AT_REST_RAD_S)
        if decision.outcome == "paced":
            return  # says nothing about what is wanted
        if not (rests and decision.rules & _HOLDING):
            self._since_ns = None
            return
        self._by = decision.rules & _HOLDING
        if self._since_ns is None:
            self._since_ns = now_ns

    def complaint(self) -> str:
        """Return why the arm stands still although commands want it to move; empty where it does not."""
        if self._since_ns is None or (self._now_ns - self._since_ns) * 1e-9 < TOLD_AFTER_S:
            return ""
        held_s = (self._now_ns - self._since_ns) * 1e-9
        return (
            f"commands have asked for {held_s:.1f} s for a motion that the limit of {' and '.join(_names(self._by))} "
            "does not leave, so the arm stands still: look at workcell.workspace_m and workcell.table.height_m in the "
            "world file of the driver, and whether the policy has the same one"
        )

    def report(self) -> dict[str, object]:
        """Return counts of commands for diagnostics; several limits may have held at once."""
        return {f"limited_by_{name.replace(' ', '_')}": count for name, count in sorted(self._counts.items())}


def _names(rules: Rule) -> list[str]:
    return [str(rule.name).lower().replace("_", " ") for rule in Rule if rule & rules]


class CommandStatistics:
    """What became of the commands, how old their observations were, and how long their answers took."""

    def __init__(self) -> None:
        self._outcomes: Counter[str] = Counter()
        self._ages, self._answer_times = Latencies(), Latencies()
        self._rate = Rate()

    def note(self, outcome: str, age_ms: float, answer_ms: float) -> None:
        """Count a command: its outcome, its observation's age when it came, and how long its answer took."""
        self._outcomes[outcome] += 1
        self._rate.event()
        self._ages.add(age_ms)
        self._answer_times.add(answer_ms)

    def take_report(self) -> dict[str, object]:
        """Return the values for /diagnostics; the rate starts anew."""
        return {
            "command_rate_hz": self._rate.take_hz(),
            **self._ages.summary("observation_age"),
            **self._answer_times.summary("answer"),
            **{f"decisions_{name.replace(':', '_')}": count for name, count in sorted(self._outcomes.items())},
        }
