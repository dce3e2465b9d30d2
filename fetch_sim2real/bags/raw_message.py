"""A message as a bag holds it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RawMessage:
    """A serialized message (CDR) of ``topic``, received at ``received_ns`` (the recorder's clock)."""

    topic: str
    type: str
    received_ns: int
    data: bytes
