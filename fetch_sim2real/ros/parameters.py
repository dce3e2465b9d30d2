"""A node's parameters as a table: type, unit, range and meaning of each in one place.

Wrong values are refused with the reason, at start and when set. An override for a parameter that does not exist is
refused too: a misspelt name must not silently leave a default in force. One that was given to every node alike may be
meant for others: `SetParameter` in a launch file becomes `-p NAME:=VALUE` of each node, and `/**` in a parameter file
stands for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from fetch_sim2real.common.option import Option, OptionError, Value
from fetch_sim2real.stack.ros_arguments import END, PARAMETERS_KEY, START, RosArgumentError, read_parameter_file

USE_SIM_TIME = "use_sim_time"


class Parameters:
    """The declared parameters of one node."""

    def __init__(self, node: Node, table: Sequence[Option[Any]], for_every_node: Collection[str] = ()) -> None:
        """``for_every_node``: names that were given to no node in particular, so that this one need not have them."""
        self._table = {parameter.name: parameter for parameter in table}
        self._values: dict[str, Value] = {}
        self._changes: dict[str, tuple[Callable[[Any], str], Callable[[Any], None]]] = {}
        overrides: dict[str, RosParameter] = getattr(node, "_parameter_overrides", {})
        unknown = [name for name in overrides if name not in self._table and not _is_rclpys(name)]
        for name in unknown:
            near = "".join(f", did you mean {one}?" for one in get_close_matches(name, self._table, n=1))
            if name not in for_every_node:
                available = f", available: {', '.join(sorted(self._table)) or 'none'}"
                raise OptionError(f"there is no parameter '{name}'{near or available}")
            node.get_logger().warning(
                f"parameter '{name}' is given to every node and none of this one's: ignored here{near}"
            )
        for name, parameter in self._table.items():
            given = overrides[name].value if name in overrides else parameter.default
            self._values[name] = parameter.checked(given)
            # The checked value, because rclpy would refuse a wrong one without saying what is expected.
            node.declare_parameter(name, self._values[name], descriptor(parameter), ignore_override=True)
        self._uses_sim_time = node.get_parameter(USE_SIM_TIME).value
        node.add_on_set_parameters_callback(self._on_set)

    def on_change(
        self, name: str, refusal: Callable[[Any], str], take_up: Callable[[Any], None] = lambda value: None
    ) -> None:
        """Have ``take_up`` called with a new value of the changeable ``name`` if ``refusal`` of it is empty."""
        self._changes[name] = (refusal, take_up)

    def flag(self, name: str) -> bool:
        """Return the value of a bool parameter."""
        return self._get(name, bool)

    def whole(self, name: str) -> int:
        """Return the value of an int parameter."""
        return self._get(name, int)

    def number(self, name: str) -> float:
        """Return the value of a float parameter."""
        return self._get(name, float)

    def text(self, name: str) -> str:
        """Return the value of a str parameter."""
        return self._get(name, str)

    def _get(self, name: str, kind: type) -> Any:
        value = self._values[name]
        if type(value) is not kind:
            raise TypeError(f"parameter {name} is a {type(value).__name__}")
        return value

    def _on_set(self, given: list[RosParameter]) -> SetParametersResult:
        accepted: dict[str, Value] = {}
        for parameter in given:
            known = self._table.get(parameter.name)
            if known is None:
                if parameter.name == USE_SIM_TIME and parameter.value != self._uses_sim_time:
                    # rclpy's clock would follow, what was made for the other one would not.
                    return SetParametersResult(successful=False, reason=_fixed(USE_SIM_TIME))
                continue
            if not known.changeable:
                return SetParametersResult(successful=False, reason=_fixed(known.name))
            try:
                value = known.checked(parameter.value)
            except OptionError as error:
                return SetParametersResult(successful=False, reason=str(error))
            if known.name in self._changes and (reason := self._changes[known.name][0](value)):
                return SetParametersResult(successful=False, reason=reason)
            accepted[known.name] = value
        self._values.update(accepted)
        for name, value in accepted.items():
            if name in self._changes:
                self._changes[name][1](value)
        return SetParametersResult(successful=True)


def help_of(option: Option[Any]) -> str:
    """Return one line about a parameter, for a person."""
    unit = f" {option.unit}" if option.unit else ""
    if option.choices:
        allowed = " | ".join(option.choices)
    elif option.low is not None or option.high is not None:
        low, high = ("" if bound is None else f"{bound:g}" for bound in (option.low, option.high))
        allowed = f"{low}..{high}"
    else:
        allowed = type(option.default).__name__
    return f"{option.name} [{allowed}{unit}] = {option.default!r}: {option.description}"


def descriptor(option: Option[Any]) -> ParameterDescriptor:
    """Return what ROS tools show. Checks are made here: ROS's own refuse whole numbers where a float is meant."""
    result = ParameterDescriptor(
        description=help_of(option), read_only=not option.changeable, dynamic_typing=isinstance(option.default, float)
    )
    if option.low is not None and option.high is not None:
        if isinstance(option.default, float):
            result.floating_point_range = [FloatingPointRange(from_value=option.low, to_value=option.high)]
        elif isinstance(option.default, int):
            result.integer_range = [IntegerRange(from_value=int(option.low), to_value=int(option.high))]
    return result


def _fixed(name: str) -> str:
    return f"parameter '{name}' is fixed when the node starts: start it anew"


def _is_rclpys(name: str) -> bool:
    return name in (USE_SIM_TIME, "start_type_description_service") or name.startswith("qos_overrides.")


_RULE: Final = ("-p", "--param")
_FILE: Final = "--params-file"
_WILDCARDS: Final = ("*", "**")
# How alike two names are, from 0 to 1, if one is taken for the other misspelt: 'model' is no 'mode' yet.
_NEARLY: Final = 0.9


def names_for_every_node(arguments: Sequence[str], known: Collection[str]) -> frozenset[str]:
    """Return the names of the parameters that ``arguments``, a program's command line, give to no node by its name.

    A person who starts one node writes `-p NAME:=VALUE` too, and means that node: what is nearly one of its ``known``
    names is not among them.
    """
    given = set(_given(arguments, known))
    return frozenset(name for name, is_general in given if is_general and (name, False) not in given)


def _given(arguments: Sequence[str], known: Collection[str]) -> Iterator[tuple[str, bool]]:
    """Each parameter's name, and whether it is given to every node."""
    is_ros = False
    words = iter(arguments)
    for word in words:
        if word in (START, END):
            is_ros = word == START
        elif is_ros and word in _RULE:
            target, _, _ = next(words, "").partition(":=")
            _, separator, name = target.rpartition(":")
            is_misspelt = bool(get_close_matches(name, known, n=1, cutoff=_NEARLY))
            yield name, not (separator or is_misspelt)
        elif is_ros and word == _FILE:
            yield from _in_file(Path(next(words, "")))


def _in_file(path: Path) -> Iterator[tuple[str, bool]]:
    try:
        content = read_parameter_file(path)
    except RosArgumentError:
        return  # it was refused before
    yield from _in_section(content, "")


def _in_section(content: Any, node: str) -> Iterator[tuple[str, bool]]:
    """What a node's section, or a namespace's, holds; ``node`` is the last key on the way here."""
    if not isinstance(content, Mapping):
        return
    for key, inner in content.items():
        if key == PARAMETERS_KEY:
            for name in _flat(inner, ""):
                yield name, node.rpartition("/")[2] in _WILDCARDS
        else:
            yield from _in_section(inner, str(key))


def _flat(content: Any, prefix: str) -> Iterator[str]:
    """Names of nested parameters as ROS writes them: joined by dots."""
    if not isinstance(content, Mapping):
        return
    for key, inner in content.items():
        if isinstance(inner, Mapping):
            yield from _flat(inner, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"
