"""What a command message must be before the safety filter looks at its numbers."""

from __future__ import annotations

from trajectory_msgs.msg import JointTrajectory

from fetch_sim2real.arm.limits import PROFILES, LimitProfile
from fetch_sim2real.common.validation import shortened
from fetch_sim2real.control.checks import Refusal
from fetch_sim2real.errors import CommandError
from fetch_sim2real.messages.motion import decode_command, decode_limit_profile
from fetch_sim2real.types import JointCommand


def open_command(message: JointTrajectory, commanders: int, profile: LimitProfile) -> JointCommand | Refusal:
    """The command in ``message``, or why it is not even judged."""
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
