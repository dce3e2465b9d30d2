"""Values that a world file gives as a number or as a range to draw from."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Any, TypeVar

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, GetCoreSchemaHandler, model_validator
from pydantic_core import CoreSchema, core_schema

from fetch_sim2real.common.schema import Record
from fetch_sim2real.types import FloatArray

Draw = TypeVar("Draw")
RecordType = TypeVar("RecordType", bound=Record)


class Range(BaseModel):
    """A uniform range; ``low == high`` is a fixed value. Written in YAML as ``0.1`` or ``[0.05, 0.2]``."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    low: float
    high: float

    @model_validator(mode="before")
    @classmethod
    def _from_number_or_pair(cls, value: Any) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return {"low": float(value), "high": float(value)}
        if isinstance(value, list | tuple):
            if len(value) != 2:
                raise ValueError(f"got {list(value)}, expected a number or a pair [low, high]")
            return {"low": value[0], "high": value[1]}
        return value

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low <= self.high):
            raise ValueError(f"got [{self.low}, {self.high}], expected finite numbers with low <= high")
        return self

    @property
    def middle(self) -> float:
        return 0.5 * (self.low + self.high)

    def draw(self, rng: np.random.Generator) -> float:
        # Also a fixed value takes its draw: turning a value into a range does not shift those drawn after it.
        return self.low + (self.high - self.low) * rng.random()


def _three(value: Any) -> Any:
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise ValueError(f"got {value!r}, expected three values, each a number or a pair [low, high]")
    return tuple(value)


Vector3 = Annotated[tuple[Range, Range, Range], BeforeValidator(_three)]


def draw3(vector: tuple[Range, Range, Range], rng: np.random.Generator) -> FloatArray:
    """Draw a vector of ranges once, (3,)."""
    return np.array([axis.draw(rng) for axis in vector])


def draw_all(into: type[Draw], part: BaseModel, rng: np.random.Generator) -> Draw:
    """Draw a dataclass: each field, in order, from the range or the tuple of ranges of that name in ``part``."""
    values: dict[str, Any] = {}
    for field in fields(into):  # type: ignore[arg-type]  # "a dataclass" has no type of its own
        axes = getattr(part, field.name)
        values[field.name] = axes.draw(rng) if isinstance(axes, Range) else tuple(axis.draw(rng) for axis in axes)
    return into(**values)


def box_of(vector: tuple[Range, Range, Range]) -> tuple[FloatArray, FloatArray]:
    """Return lower and upper corner (3,) of the box that a vector of ranges spans."""
    return np.array([axis.low for axis in vector]), np.array([axis.high for axis in vector])


@dataclass(frozen=True)
class Varies:
    """Marks a value as part of the randomization, and says what is physically possible.

    ``scale_ranges`` widens marked values only: where a task puts its objects is not marked. Limits of a vector are
    three numbers each.
    """

    low: float | tuple[float, float, float]
    high: float | tuple[float, float, float]

    def limits(self) -> list[tuple[float, float]]:
        """Return (low, high) of each axis; one entry for a single number."""
        lows, highs = np.atleast_1d(self.low), np.atleast_1d(self.high)
        return [(float(low), float(high)) for low, high in zip(lows, highs, strict=True)]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def _check(self, value: Any) -> Any:
        axes = (value,) if isinstance(value, Range) else value
        limits = self.limits() * (len(axes) if len(self.limits()) == 1 else 1)
        for axis, (low, high) in zip(axes, limits, strict=True):
            if not low <= axis.low <= axis.high <= high:
                raise ValueError(f"got [{axis.low:g}, {axis.high:g}], expected values within [{low:g}, {high:g}]")
        return value


Share = Annotated[Range, Varies(0.0, 1.0)]


def ordered(count: tuple[int, int]) -> tuple[int, int]:
    """Return [least, most] as they are. ValueError, for schemas, where least is more than most."""
    if count[0] > count[1]:
        raise ValueError(f"got {list(count)}, expected [least, most]")
    return count
# Hue in degrees (0 red, 120 green, 240 blue; negative or above 360 goes round), saturation, value.
ColorHsv = Annotated[Vector3, Varies((-360.0, 0.0, 0.0), (720.0, 1.0, 1.0))]


def scale_ranges(record: RecordType, factor: float) -> RecordType:
    """Return ``record`` with every range that is marked as ``Varies`` made ``factor`` times as wide about its middle.

    What physics does not allow is clipped. Fixed values, ranges without the mark, and what is not stated stay as they
    are.
    """
    changes: dict[str, Any] = {}
    for name, field in type(record).model_fields.items():
        if name not in record.model_fields_set:
            continue
        value = getattr(record, name)
        varies = next((mark for mark in field.metadata if isinstance(mark, Varies)), None)
        if isinstance(value, Record):
            changes[name] = scale_ranges(value, factor)
        elif isinstance(value, dict):
            changes[name] = {key: scale_ranges(each, factor) for key, each in value.items()}
        elif isinstance(value, Range) and varies is not None:
            changes[name] = _scaled(value, factor, *varies.limits()[0])
        elif isinstance(value, tuple) and varies is not None:
            limits = varies.limits() * (len(value) if len(varies.limits()) == 1 else 1)
            pairs = zip(value, limits, strict=True)
            changes[name] = tuple(_scaled(axis, factor, low, high) for axis, (low, high) in pairs)
    return record.model_copy(update=changes)


def _scaled(value: Range, factor: float, lowest: float, highest: float) -> Range:
    half_width = 0.5 * (value.high - value.low) * factor
    return Range(low=max(lowest, value.middle - half_width), high=min(highest, value.middle + half_width))


def rgb_of(hsv: FloatArray) -> FloatArray:
    """Return colour (3,) in 0..1 of hue [deg], saturation and value."""
    hue, saturation, value = hsv
    sector = (hue / 60.0 + np.array([0.0, 4.0, 2.0])) % 6.0
    return value * (1.0 - saturation * (1.0 - np.clip(np.abs(sector - 3.0) - 1.0, 0.0, 1.0)))
