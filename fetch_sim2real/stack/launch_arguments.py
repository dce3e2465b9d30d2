"""Arguments of launch files, made from a dataclass of options: text values as on the command line, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any, Final, TypeVar

from fetch_sim2real.errors import GraphError

BOOLEANS: Final = ("true", "false")
# How alike two names are, from 0 to 1, if one is taken for the other misspelt: 'speed' is no 'speed_scale' yet.
_NEARLY: Final = 0.8
# `ros2 launch` hands its own options on as arguments of the launch file.
_OF_ROS2_LAUNCH: Final = "launch-prefix"
_KINDS: Final[Mapping[type, str]] = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}

Options = TypeVar("Options")


@dataclass(frozen=True)
class Meaning:
    """What an option means, for people, and the values it may have (none: any of its type)."""

    description: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Argument:
    """An argument of a launch file: values are text, as on the command line."""

    name: str
    default: str
    description: str
    choices: tuple[str, ...] = ()


def arguments_of(options: type, meanings: Mapping[str, Meaning]) -> tuple[Argument, ...]:
    """One argument for each field of the dataclass ``options``, all of which have defaults."""
    return tuple(
        Argument(f.name, _as_text(f.default), meanings[f.name].description, meanings[f.name].choices)
        for f in fields(options)
    )


def options_of(options: type[Options], meanings: Mapping[str, Meaning], values: Mapping[str, str]) -> Options:
    """Options from the text values of ``arguments_of``. Raises ``GraphError`` for a wrong value."""
    converted: dict[str, Any] = {}
    for option in fields(options):  # type: ignore[arg-type]  # a dataclass by contract
        text, kind = values[option.name], type(option.default)
        try:
            converted[option.name] = _from_text(text, kind)
        except ValueError:
            raise GraphError(
                f"argument {option.name} is '{text}', expected {_KINDS[kind]}: {meanings[option.name].description}"
            ) from None
    checked = options(**converted)
    require_choices(checked, meanings)
    return checked


def unknown_names(given: Iterable[str], arguments: Sequence[Argument]) -> tuple[str, ...]:
    """Those of ``given``, the names that a launch file was given by whoever started or includes it, that it does not
    know.

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


def require_choices(options: object, meanings: Mapping[str, Meaning]) -> None:
    """Raise ``GraphError``, with what is available, for a value that is none of its choices."""
    for name, meaning in meanings.items():
        value = _as_text(getattr(options, name))
        if meaning.choices and value not in meaning.choices:
            available = ", ".join(choice or "''" for choice in meaning.choices)
            raise GraphError(f"{name} is '{value}', available: {available}. {meaning.description}")


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _from_text(text: str, kind: type) -> bool | int | float | str:
    if kind is bool:
        if text.lower() not in BOOLEANS:
            raise ValueError(text)
        return text.lower() == "true"
    value: bool | int | float | str = kind(text)
    return value
