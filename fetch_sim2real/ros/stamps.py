"""Message stamps to integer nanoseconds and back."""

from __future__ import annotations

from typing import Final

from builtin_interfaces.msg import Duration, Time

from fetch_sim2real.messages.stamps import stamp_ns_of

__all__ = ["STAMPS_END_NS", "duration_message", "duration_s_of", "stamp_message", "stamp_ns_of"]

_NS_PER_S = 1_000_000_000
# A message's seconds have 31 bits, and rclpy wraps what does not fit without a word.
STAMPS_END_NS: Final = 2**31 * _NS_PER_S


def stamp_message(stamp_ns: int) -> Time:
    """A stamp for a message."""
    sec, nanosec = divmod(stamp_ns, _NS_PER_S)
    return Time(sec=sec, nanosec=nanosec)


def duration_s_of(duration: Duration) -> float:
    """Seconds of a message's duration."""
    return float(duration.sec) + float(duration.nanosec) * 1e-9


def duration_message(duration_s: float) -> Duration:
    """A duration for a message, to the nearest nanosecond."""
    sec, nanosec = divmod(round(duration_s * _NS_PER_S), _NS_PER_S)
    return Duration(sec=sec, nanosec=nanosec)
