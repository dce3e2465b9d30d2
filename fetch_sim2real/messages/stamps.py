"""Stamps and durations (builtin_interfaces/Time and Duration) as integer nanoseconds and seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from builtin_interfaces.msg import Duration, Time

_NS_PER_S: Final = 1_000_000_000
# A message's seconds have 31 bits, and rclpy wraps what does not fit without a word.
STAMPS_END_NS: Final = 2**31 * _NS_PER_S


def decode_stamp(stamp: Any) -> int:
    """Return the nanoseconds of a message's stamp."""
    return int(stamp.sec) * _NS_PER_S + int(stamp.nanosec)


def encode_stamp(stamp_ns: int) -> Time:
    """Return a stamp for a message, of 0 to ``STAMPS_END_NS`` nanoseconds."""
    from builtin_interfaces.msg import Time

    sec, nanosec = divmod(stamp_ns, _NS_PER_S)
    return Time(sec=sec, nanosec=nanosec)


def decode_duration(duration: Any) -> float:
    """Return the seconds of a message's duration."""
    return float(duration.sec) + float(duration.nanosec) * 1e-9


def encode_duration(duration_s: float) -> Duration:
    """Return a duration for a message, to the nearest nanosecond."""
    from builtin_interfaces.msg import Duration

    sec, nanosec = divmod(round(duration_s * _NS_PER_S), _NS_PER_S)
    return Duration(sec=sec, nanosec=nanosec)
