"""What nodes tell people and each other as JSON in a text message."""

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
    """/policy/goal_status: what the policy makes of a goal."""

    accepted: bool
    reason: str


class MoveStatus(Status):
    """/policy/move_status: how a move goes."""

    state: str
    reason: str = ""


Kind = TypeVar("Kind", bound=Status)


def goal_status_of(text: str) -> GoalStatus:
    """What the policy makes of a goal; MessageError if ``text`` does not say so."""
    return _read(GoalStatus, text, "goal status")


def move_status_of(text: str) -> MoveStatus:
    """How a move goes; MessageError if ``text`` does not say so."""
    return _read(MoveStatus, text, "move status")


def object_of(text: str, what: str) -> dict[str, Any]:
    """The JSON object that ``text`` is; MessageError if it is none."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MessageError(f"{what} is not JSON ({error}): {shortened(repr(text))}") from None
    if not isinstance(content, dict):
        raise MessageError(f"{what} is {shortened(repr(text))}, expected a JSON object")
    return content


def _read(kind: type[Kind], text: str, what: str) -> Kind:
    try:
        return kind.model_validate(object_of(text, what))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise MessageError(f"{what}: field '{field_of(first, what)}': {complaint_of(first)}") from None
