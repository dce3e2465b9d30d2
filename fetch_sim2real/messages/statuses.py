"""What nodes tell people and each other as a JSON object in a text message, or in a service's answer."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from fetch_sim2real.common.validation import complaint_of, field_of, shortened
from fetch_sim2real.errors import MessageError


class Status(BaseModel):
    """Base of all. Fields that are not declared are kept for whoever shows them."""

    model_config = ConfigDict(frozen=True, extra="allow")


class GoalStatus(Status):
    """/policy/goal_status: whether the policy takes a goal, and why not.

    The goal is repeated: its frame, and its position (3,) [m], in which a number that is not finite is a text.
    """

    accepted: bool
    reason: str
    frame_id: str = ""
    position_m: tuple[float | str, ...] = ()


class MoveStatus(Status):
    """/arm_driver/move_status: how a slow move of the arm goes: moving, done, or ended or refused for ``reason``."""

    state: str
    reason: str = ""


class EnableAnswer(Status):
    """The answer of /arm_driver/enable: the driver's state, its time, and what it warns of although it is enabled."""

    state: str
    now_ns: int
    warning: str = ""


class EpisodeGoal(Status):
    """A goal that goes with a seed, position (3,) [m] in ``frame_id``."""

    frame_id: str
    position_m: tuple[float, float, float]


class ResetAnswer(Status):
    """The answer of /sim/reset: the episode that can begin, its goal, and the simulated time.

    ``driver_is_ready``: whether the driver has dealt with that time, None where nobody waits for it.
    """

    episode: int
    seed: int
    goal: EpisodeGoal
    now_ns: int
    driver_is_ready: bool | None


class OperatorEvent(Status):
    """/operator/events: a step of the operator, as its line in the log: when (UTC), which, by whom, and what of it."""

    stamp: str
    event: str
    operator: str = ""
    detail: dict[str, Any] = {}


class SimulatedOutcome(Status):
    """/sim/outcome: how a simulated episode ended, and its seed."""

    seed: int
    success: bool


Kind = TypeVar("Kind", bound=Status)


def encode_status(status: Status) -> str:
    """Return the JSON of a status."""
    return json.dumps(status.model_dump(mode="json"))


def decode_status(kind: type[Kind], text: str, what: str) -> Kind:
    """Return the status of this ``kind`` in ``text``; MessageError, which calls it ``what``, if there is none."""
    try:
        return kind.model_validate(decode_object(text, what))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise MessageError(f"{what}: field '{field_of(first, what)}': {complaint_of(first)}") from None


def decode_goal_status(text: str) -> GoalStatus:
    """Return what the policy makes of a goal; MessageError if ``text`` does not say so."""
    return decode_status(GoalStatus, text, "goal status")


def decode_move_status(text: str) -> MoveStatus:
    """Return how a move goes; MessageError if ``text`` does not say so."""
    return decode_status(MoveStatus, text, "move status")


def decode_operator_event(text: str) -> OperatorEvent:
    """Return what the operator did; MessageError if ``text`` does not say so."""
    return decode_status(OperatorEvent, text, "operator event")


def decode_simulated_outcome(text: str) -> SimulatedOutcome:
    """Return how a simulated episode ended; MessageError if ``text`` does not say so."""
    return decode_status(SimulatedOutcome, text, "outcome")


def decode_object(text: str, what: str) -> dict[str, Any]:
    """Return the JSON object that ``text`` is; MessageError if it is none."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MessageError(f"{what} is not JSON ({error}): {shortened(repr(text))}") from None
    if not isinstance(content, dict):
        raise MessageError(f"{what} is {shortened(repr(text))}, expected a JSON object")
    return content
