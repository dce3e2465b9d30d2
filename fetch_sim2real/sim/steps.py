"""Simulated time is counted in physics steps; stamps and durations follow from the count."""

from __future__ import annotations

from typing import Final

from fetch_sim2real.timing import CONTROL_RATE_HZ, PHYSICS_STEP_S, PHYSICS_STEPS_PER_PERIOD

_NS_PER_STEP: Final = PHYSICS_STEP_S * 1e9
_STEPS_PER_S: Final = CONTROL_RATE_HZ * PHYSICS_STEPS_PER_PERIOD


def stamp_of_step(step: int) -> int:
    """Stamp [ns] of a physics step."""
    return round(step * _NS_PER_STEP)


def steps_of(duration_s: float) -> int:
    """Return the physics steps nearest to a duration [s]."""
    return round(duration_s / PHYSICS_STEP_S)


def first_step_after(step: int) -> int:
    """Return the next episode's first step: at least a second on, so that no stamp of one is taken for the other's,
    and on a whole second, so that stamps (rounded to nanoseconds) have the same differences in every episode.
    """
    whole_seconds = -(-step // _STEPS_PER_S)
    return (whole_seconds + 1) * _STEPS_PER_S
