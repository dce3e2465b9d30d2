"""What the driver says its commanded state is: the policy's commands start from there."""

from __future__ import annotations

from typing import Final

from fetch_sim2real.messages.joint_states import ACTIVATED
from fetch_sim2real.types import JointSetpoint

# Refusals after which the driver follows no more commands until it is activated again.
_INACTIVE: Final = frozenset(
    f"refused:{reason}"
    for reason in ("not_active", "command_timeout", "stale_joints", "future_joints", "tracking_error")
)


class SetpointTracker:
    """The setpoint to act from. Every answer to a frame has to be answered by the driver before the next one acts."""

    def __init__(self) -> None:
        self._setpoint: JointSetpoint | None = None
        self._awaited_ns: int | None = None
        self._activated_ns: int | None = None
        self.decision = "none yet"

    def sent(self, stamp_ns: int) -> None:
        """A frame of this stamp has been answered: the present setpoint is used up."""
        self._awaited_ns = stamp_ns

    def on_setpoint(self, stamp_ns: int, decision: str, setpoint: JointSetpoint | None) -> bool:
        """Take in the driver's message; True if the driver has just been activated."""
        activated = decision == ACTIVATED
        if activated and stamp_ns == self._activated_ns:
            return False  # told again
        if not activated and stamp_ns != self._awaited_ns:
            return False  # the answer to somebody else, or to what has been answered since
        if activated:
            self._activated_ns = stamp_ns
        self._awaited_ns = None
        self.decision = decision
        self._setpoint = None if decision in _INACTIVE else setpoint
        return activated

    @property
    def is_awaited(self) -> bool:
        """The driver's answer to the last command is still on its way."""
        return self._awaited_ns is not None

    @property
    def setpoint(self) -> JointSetpoint | None:
        """Where the next command starts; None while the driver follows no commands."""
        return self._setpoint
