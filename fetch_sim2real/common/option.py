"""One option: name, default, meaning and what it may be, whoever takes it.

The same object makes a launch argument, an option of a command and a parameter of a node, so that none of them can
say anything else. Dataclasses of options are made with ``declared``.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final, Generic, TypeVar

from fetch_sim2real.errors import FetchSim2RealError, GraphError

Value = bool | int | float | str
T = TypeVar("T", bound=Value)
Options = TypeVar("Options")

BOOLEANS: Final = ("true", "false")
_OPTION: Final = "option"
# How alike two names are, from 0 to 1, if one is taken for the other misspelt: 'speed' is no 'speed_scale' yet.
_NEARLY: Final = 0.8
# `ros2 launch` hands its own options on as arguments of the launch file.
_OF_ROS2_LAUNCH: Final = "launch-prefix"
_KINDS: Final[Mapping[type, str]] = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


class OptionError(FetchSim2RealError):
    """A parameter's value is refused."""


@dataclass(frozen=True)
class Option(Generic[T]):
    """One option; the default's type is its type.

    ``low`` and ``high`` bound a number [``unit``], ``choices`` a text. A node takes a new value of a ``changeable`` one
    while it runs. ``read`` takes a value that has a form of its own apart, and raises what is wrong with it.
    """

    name: str
    default: T
    description: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    changeable: bool = False
    read: Callable[[Any], object] | None = None

    def but(self, **changes: Any) -> Option[T]:
        """Return the same option where something about it is different: another default, another name."""
        return dataclasses.replace(self, **changes)

    @property
    def text(self) -> str:
        """The description, with the unit where a person types a number."""
        return f"{self.description.removesuffix('.')} [{self.unit}]." if self.unit else self.description

    def checked(self, value: Any) -> T:
        """Return ``value`` in the option's type. Raises ``OptionError`` if it cannot be taken."""
        kind = type(self.default)
        if kind is float and type(value) is int:
            value = float(value)
        if fault := self.fault(value):
            raise OptionError(f"parameter '{self.name}' is {fault}")
        return value  # type: ignore[no-any-return]

    def fault(self, value: Any) -> str:
        """Return what is wrong with ``value``, to follow the option's name; empty if it can be taken."""
        kind: type = type(self.default)
        if type(value) is not kind:
            return f"{value!r} ({type(value).__name__}), expected {kind.__name__}"
        if self.choices and value not in self.choices:
            return f"{value!r}, expected one of {', '.join(choice or repr('') for choice in self.choices)}"
        number: Any = value
        if not isinstance(value, str | bool):
            low = -math.inf if self.low is None else self.low
            high = math.inf if self.high is None else self.high
            # Written so that NaN is refused.
            if not low <= number <= high:
                unit = f" {self.unit}" if self.unit else ""
                return f"{value}{unit}, expected {low:g} to {high:g}{unit}"
        if self.read is not None:
            try:
                self.read(value)
            except FetchSim2RealError as error:
                return f"{value!r}, not as expected: {error}"
        return ""

    def from_text(self, text: str) -> T:
        """Return the value that a launch argument's ``text`` means. Raises ``GraphError`` for what cannot be meant."""
        kind: type = type(self.default)
        value: Any = text
        try:
            value = BOOLEANS.index(text.lower()) == 0 if kind is bool else kind(text)
        except ValueError:
            raise GraphError(f"argument {self.name} is '{text}', expected {_KINDS[kind]}: {self.text}") from None
        return value  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Argument:
    """An argument of a launch file: values are text, as on the command line."""

    name: str
    default: str
    description: str
    choices: tuple[str, ...] = ()


def declared(option: Option[T]) -> T:
    """Return a dataclass field that is ``option``; its name in the dataclass is its name in launch files."""
    field: Any = dataclasses.field(default=option.default, metadata={_OPTION: option})
    return field  # type: ignore[no-any-return]


def options_in(options: type) -> dict[str, Option[Any]]:
    """Return the options of a dataclass that was made with ``declared``, by field, as they were declared."""
    return {field.name: field.metadata[_OPTION] for field in dataclasses.fields(options)}


def arguments_of(options: type) -> tuple[Argument, ...]:
    """Return one launch argument for each field of the dataclass ``options``."""
    return tuple(
        Argument(
            name,
            _as_text(option.default),
            option.text,
            BOOLEANS if isinstance(option.default, bool) else option.choices,
        )
        for name, option in options_in(options).items()
    )


def options_of(options: type[Options], values: Mapping[str, str]) -> Options:
    """Return options from the text values of ``arguments_of``. Raises ``GraphError`` for a wrong value."""
    taken = {name: option.but(name=name).from_text(values[name]) for name, option in options_in(options).items()}
    result = options(**taken)
    require_valid(result)
    return result


def require_valid(options: object) -> None:
    """Raise ``GraphError``, with what is expected, for a value of a dataclass that its option does not take."""
    for name, option in options_in(type(options)).items():
        value = getattr(options, name)
        if fault := option.fault(value):
            raise GraphError(f"{name} is {fault}. {option.text}")


def unknown_names(given: Iterable[str], arguments: Sequence[Argument]) -> tuple[str, ...]:
    """Return those of ``given``, names that a launch file was given by whoever started or includes it, that it does
    not know.

    Raises ``GraphError`` for a name that is nearly one of ``arguments``: launch itself takes any name in silence.
    """
    known = [argument.name for argument in arguments]
    unknown = []
    for name in given:
        if name in known or name.startswith(_OF_ROS2_LAUNCH):
            continue
        for near in get_close_matches(name, known, n=1, cutoff=_NEARLY):
            raise GraphError(f"there is no argument '{name}', did you mean {near}? --show-args lists all")
        unknown.append(name)
    return tuple(unknown)


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
