"""A node's parameters as a table: type, unit, range and meaning of each in one place.

Wrong values are refused with the reason, at start and when set. An override for a parameter that does not exist is
refused too: a misspelt name must not silently leave a default in force. One that was given to every node alike may be
meant for others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from fetch_sim2real.errors import FetchSim2RealError

Value = bool | int | float | str


class ParameterError(FetchSim2RealError):
    """A parameter's value is refused."""


@dataclass(frozen=True)
class Parameter:
    """One parameter; the default's type is its type. ``changeable`` ones may be set while the node runs.

    ``read`` takes a value that has a form of its own apart, and raises what is wrong with it.
    """

    name: str
    default: Value
    description: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    changeable: bool = False
    read: Callable[[Any], object] | None = None

    def checked(self, value: Any) -> Value:
        """``value`` in the parameter's type; ParameterError if it cannot be taken."""
        kind = type(self.default)
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise ParameterError(
                f"parameter '{self.name}' is {value!r} ({type(value).__name__}), expected {kind.__name__}"
            )
        if self.choices and value not in self.choices:
            raise ParameterError(f"parameter '{self.name}' is {value!r}, expected one of {', '.join(self.choices)}")
        if not isinstance(value, str | bool):
            low = -math.inf if self.low is None else self.low
            high = math.inf if self.high is None else self.high
            # Written so that NaN is refused.
            if not low <= value <= high:
                raise ParameterError(
                    f"parameter '{self.name}' is {value}{self._unit()}, expected {low:g} to {high:g}{self._unit()}"
                )
        if self.read is not None:
            try:
                self.read(value)
            except FetchSim2RealError as error:
                raise ParameterError(f"parameter '{self.name}' is {value!r}, not as expected: {error}") from None
        return value  # type: ignore[no-any-return]

    def help(self) -> str:
        """One line for a person."""
        if self.choices:
            allowed = " | ".join(self.choices)
        elif self.low is not None or self.high is not None:
            low, high = ("" if bound is None else f"{bound:g}" for bound in (self.low, self.high))
            allowed = f"{low}..{high}"
        else:
            allowed = type(self.default).__name__
        return f"{self.name} [{allowed}{self._unit()}] = {self.default!r}: {self.description}"

    def descriptor(self) -> ParameterDescriptor:
        """What ROS tools show. Checks are made here: ROS's own refuse whole numbers where a float is meant."""
        result = ParameterDescriptor(
            description=self.help(), read_only=not self.changeable, dynamic_typing=isinstance(self.default, float)
        )
        if self.low is not None and self.high is not None:
            if isinstance(self.default, float):
                result.floating_point_range = [FloatingPointRange(from_value=self.low, to_value=self.high)]
            elif isinstance(self.default, int):
                result.integer_range = [IntegerRange(from_value=int(self.low), to_value=int(self.high))]
        return result

    def _unit(self) -> str:
        return f" {self.unit}" if self.unit else ""


USE_SIM_TIME = "use_sim_time"


class Parameters:
    """The declared parameters of one node."""

    def __init__(self, node: Node, table: Sequence[Parameter], for_every_node: Collection[str] = ()) -> None:
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
                raise ParameterError(f"there is no parameter '{name}'{near or available}")
            node.get_logger().warning(
                f"parameter '{name}' is given to every node and none of this one's: ignored here{near}"
            )
        for name, parameter in self._table.items():
            given = overrides[name].value if name in overrides else parameter.default
            self._values[name] = parameter.checked(given)
            # The checked value, because rclpy would refuse a wrong one without saying what is expected.
            node.declare_parameter(name, self._values[name], parameter.descriptor(), ignore_override=True)
        self._uses_sim_time = node.get_parameter(USE_SIM_TIME).value
        node.add_on_set_parameters_callback(self._on_set)

    def on_change(
        self, name: str, refusal: Callable[[Any], str], take_up: Callable[[Any], None] = lambda value: None
    ) -> None:
        """Have ``take_up`` called with a new value of the changeable ``name`` if ``refusal`` of it is empty."""
        self._changes[name] = (refusal, take_up)

    def flag(self, name: str) -> bool:
        """Value of a bool parameter."""
        return self._get(name, bool)

    def whole(self, name: str) -> int:
        """Value of an int parameter."""
        return self._get(name, int)

    def number(self, name: str) -> float:
        """Value of a float parameter."""
        return self._get(name, float)

    def text(self, name: str) -> str:
        """Value of a str parameter."""
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
            except ParameterError as error:
                return SetParametersResult(successful=False, reason=str(error))
            if known.name in self._changes and (reason := self._changes[known.name][0](value)):
                return SetParametersResult(successful=False, reason=reason)
            accepted[known.name] = value
        self._values.update(accepted)
        for name, value in accepted.items():
            if name in self._changes:
                self._changes[name][1](value)
        return SetParametersResult(successful=True)


def _fixed(name: str) -> str:
    return f"parameter '{name}' is fixed when the node starts: start it anew"


def _is_rclpys(name: str) -> bool:
    return name in (USE_SIM_TIME, "start_type_description_service") or name.startswith("qos_overrides.")
