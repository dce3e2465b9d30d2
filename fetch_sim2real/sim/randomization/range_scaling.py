"""A world with wider ranges than another: how far does an actor carry beyond what it was trained on?"""

from __future__ import annotations

from typing import Any, TypeVar

from fetch_sim2real.sim.randomization.ranges import Range, Varies
from fetch_sim2real.sim.randomization.section import Part

P = TypeVar("P", bound=Part)


def widen(part: P, factor: float) -> P:
    """``part`` with every range that is marked as ``Varies`` made ``factor`` times as wide about its middle.

    What physics does not allow is clipped. Fixed values, and where a task puts things, stay as they are.
    """
    changes: dict[str, Any] = {}
    for name, field in type(part).model_fields.items():
        value = getattr(part, name)
        varies = next((mark for mark in field.metadata if isinstance(mark, Varies)), None)
        if isinstance(value, Part):
            changes[name] = widen(value, factor)
        elif isinstance(value, Range) and varies is not None:
            changes[name] = _widened(value, factor, *varies.limits()[0])
        elif isinstance(value, tuple) and varies is not None:
            limits = varies.limits() * (len(value) if len(varies.limits()) == 1 else 1)
            pairs = zip(value, limits, strict=True)
            changes[name] = tuple(_widened(axis, factor, low, high) for axis, (low, high) in pairs)
    return part.model_copy(update=changes)


def _widened(value: Range, factor: float, lowest: float, highest: float) -> Range:
    half_width = 0.5 * (value.high - value.low) * factor
    return Range(low=max(lowest, value.middle - half_width), high=min(highest, value.middle + half_width))
