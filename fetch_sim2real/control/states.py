"""States of the arm driver. Whatever is not in the table does not happen."""

from __future__ import annotations

from enum import Enum
from typing import Final

from fetch_sim2real.errors import FetchSim2RealError


class State(Enum):
    """What the driver does with commands."""

    DISABLED = "disabled"  # sends nothing
    HOLD = "hold"  # braked to rest because something that following commands needs is gone; needs an explicit enable
    ACTIVE = "active"  # follows commands
    STOPPED = "stopped"  # braked to rest on purpose or because the arm did not follow; latched until reset
    FAULT = "fault"  # the robot reported a fault or cut power: nothing is sent; latched until reset


class Event(Enum):
    """What can change the state."""

    ENABLE = "enable"
    DISABLE = "disable"
    SILENCE = "silence"  # commands, joint states or something else that is needed are gone or not right any more
    STOP = "stop"
    FAULT = "fault"
    RESET = "reset"


# ACTIVE is entered by ENABLE alone, and a latched state is left by RESET alone, which leads to DISABLED: after a fault
# nothing moves again without two deliberate steps.
TRANSITIONS: Final[dict[tuple[State, Event], State]] = {
    (State.DISABLED, Event.ENABLE): State.ACTIVE,
    (State.DISABLED, Event.DISABLE): State.DISABLED,
    (State.DISABLED, Event.STOP): State.STOPPED,
    (State.DISABLED, Event.FAULT): State.FAULT,
    (State.DISABLED, Event.RESET): State.DISABLED,
    (State.HOLD, Event.ENABLE): State.ACTIVE,
    (State.HOLD, Event.DISABLE): State.DISABLED,
    (State.HOLD, Event.STOP): State.STOPPED,
    (State.HOLD, Event.FAULT): State.FAULT,
    (State.ACTIVE, Event.DISABLE): State.DISABLED,
    (State.ACTIVE, Event.SILENCE): State.HOLD,
    (State.ACTIVE, Event.STOP): State.STOPPED,
    (State.ACTIVE, Event.FAULT): State.FAULT,
    (State.STOPPED, Event.STOP): State.STOPPED,
    (State.STOPPED, Event.FAULT): State.FAULT,
    (State.STOPPED, Event.RESET): State.DISABLED,
    (State.FAULT, Event.FAULT): State.FAULT,
    (State.FAULT, Event.STOP): State.FAULT,
    (State.FAULT, Event.RESET): State.DISABLED,
}


class TransitionError(FetchSim2RealError):
    """An event that the present state does not allow."""


class StateMachine:
    """The present state and why it was entered."""

    def __init__(self) -> None:
        self.state = State.DISABLED
        self.reason = "not enabled yet"

    def allows(self, event: Event) -> bool:
        """Return whether ``event`` is possible in the present state."""
        return (self.state, event) in TRANSITIONS

    def handle(self, event: Event, reason: str) -> State:
        """Take the transition for ``event``; ``reason`` is kept with the new state.

        A latched state keeps its first reason when the same event comes again.

        Raises:
            TransitionError: the present state does not allow the event; the state is unchanged.
        """
        target = TRANSITIONS.get((self.state, event))
        if target is None:
            allowed = ", ".join(e.value for s, e in TRANSITIONS if s is self.state)
            raise TransitionError(
                f"'{event.value}' is not possible while {self.state.value} ({self.reason}); possible: {allowed}"
            )
        if target is not self.state:
            self.state, self.reason = target, reason
        return target
