"""Joint command messages to commands."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from fetch_sim2real.arm.fetch.joints import ARM_JOINTS, COMMAND_JOINTS, GRIPPER_JOINTS
from fetch_sim2real.common.validation import NAMES_SHOWN, shortened
from fetch_sim2real.errors import CommandError
from fetch_sim2real.messages.stamps import stamp_ns_of
from fetch_sim2real.types import JointCommand

_ARM: Final = len(ARM_JOINTS)


def command_of(message: Any) -> JointCommand:
    """The command of a message; numbers may still be anything. CommandError if its shape is not a command's."""
    stamp_ns = stamp_ns_of(message.header.stamp)
    if not message.joint_names and not message.points:
        return JointCommand(stamp_ns=stamp_ns, hold=True)
    names = tuple(message.joint_names)
    if sorted(names) not in (sorted(ARM_JOINTS), sorted(COMMAND_JOINTS)):
        raise CommandError(
            f"command for joints {shortened(list(names), NAMES_SHOWN)}, expected the arm's {list(ARM_JOINTS)} with or "
            f"without the fingers' {list(GRIPPER_JOINTS)}"
        )
    if len(message.points) != 1:
        raise CommandError(f"command with {len(message.points)} points, expected one")
    point = message.points[0]
    values = {"positions": point.positions, "velocities": point.velocities}
    for what, given in values.items():
        if len(given) != len(names) and not (what == "velocities" and len(given) == 0):
            raise CommandError(f"command with {len(given)} {what} for {len(names)} joints")
    order = [names.index(name) for name in (COMMAND_JOINTS if len(names) > _ARM else ARM_JOINTS)]
    position = np.array(point.positions)[order]
    velocity = np.array(point.velocities)[order] if len(point.velocities) else None
    fingers = position[_ARM:]
    if len(fingers) and not np.isclose(fingers[0], fingers[1], rtol=0.0, atol=1e-6, equal_nan=True):
        raise CommandError(f"fingers commanded to {fingers.tolist()} m: they are coupled, expected equal openings")
    return JointCommand(
        stamp_ns=stamp_ns,
        position=position[:_ARM],
        velocity=None if velocity is None else velocity[:_ARM],
        finger_position_m=float(fingers[0]) if len(fingers) else None,
    )
