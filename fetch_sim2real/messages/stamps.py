"""Stamps of messages as integer nanoseconds."""

from __future__ import annotations

from typing import Any


def stamp_ns_of(stamp: Any) -> int:
    """Nanoseconds of a message's stamp (builtin_interfaces/Time)."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)
