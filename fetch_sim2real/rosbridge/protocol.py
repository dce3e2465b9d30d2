"""What rosbridge_server sends, one websocket frame at a time (rosbridge_suite, ROSBRIDGE_PROTOCOL.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from pydantic_core import from_json

from fetch_sim2real.common.validation import shortened
from fetch_sim2real.errors import MessageError

# Ways in which rosbridge wraps messages, only for clients that ask for it: what such a frame holds is lost.
_WRAPPINGS: Final = ("fragment", "png")


@dataclass(frozen=True)
class Published:
    """A message on a topic, not yet looked into."""

    topic: str
    message: Any


@dataclass(frozen=True)
class ServiceResponse:
    """The answer to the call ``id``: the response's fields if it ``succeeded``, else what went wrong."""

    id: str
    succeeded: bool
    values: Any


@dataclass(frozen=True)
class Status:
    """What rosbridge itself has to say: usually what was wrong with something that it was sent."""

    text: str


@dataclass(frozen=True)
class Other:
    """A frame that is none of a client's business."""

    op: str


Frame = Published | ServiceResponse | Status | Other


def read_frame(payload: bytes, is_binary: bool) -> Frame:
    """Return what one frame says.

    Raises:
        MessageError: it cannot be read, and may have been anything.
    """
    if is_binary:
        raise MessageError(f"rosbridge sent a binary frame ({len(payload)} bytes), expected text")
    try:
        content = from_json(payload)
    except ValueError as error:
        raise MessageError(f"rosbridge sent a frame that is not JSON ({error}): {shortened(payload)}") from None
    if not isinstance(content, dict):
        raise MessageError(f"rosbridge sent {shortened(content)}, expected a JSON object with 'op'")
    op = content.get("op")
    if op == "publish":
        if not isinstance(content.get("topic"), str) or "msg" not in content:
            raise MessageError(f"rosbridge sent op 'publish' without 'topic' or 'msg': {shortened(content)}")
        return Published(content["topic"], content["msg"])
    if op == "service_response":
        # As rosbridge's own clients take it: only a false 'result' says that the call failed.
        return ServiceResponse(str(content.get("id")), content.get("result") is not False, content.get("values"))
    if op == "status":
        return Status(shortened(content.get("msg")))
    if op in _WRAPPINGS:
        raise MessageError(
            f"rosbridge sent op '{op}', which this client did not ask for: start rosbridge_server without compression "
            "and without max_message_size"
        )
    if not isinstance(op, str):
        raise MessageError(f"rosbridge sent a frame whose 'op' is {shortened(op)}: {shortened(content)}")
    return Other(op)
