"""Parameters of running nodes, read and set from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.client import Client

from fetch_sim2real.errors import GraphError
from fetch_sim2real.ros.session import RosSession

_ANSWER_LIMIT_S: Final = 10.0


def read_parameters(session: RosSession, node: str, names: Sequence[str]) -> dict[str, bool | str]:
    """Return the values of a node's bool and text parameters; GraphError if it does not answer."""
    client = session.node.create_client(GetParameters, f"{node}/get_parameters")
    what = f"answer from {client.service_name}"
    try:
        session.wait_until(client.service_is_ready, _ANSWER_LIMIT_S, lambda: what)
        future = client.call_async(GetParameters.Request(names=list(names)))
        session.wait_until(future.done, _ANSWER_LIMIT_S, lambda: what)
        return {
            name: value.bool_value if value.type == ParameterType.PARAMETER_BOOL else value.string_value
            for name, value in zip(names, future.result().values, strict=True)
        }
    finally:
        session.node.destroy_client(client)


def set_parameters(
    session: RosSession, node: str, values: Mapping[str, bool | int | float | str], client: Client | None = None
) -> None:
    """Set parameters of a node; GraphError with its reason if it refuses one.

    ``client`` is that of its service, where it is asked again and again; without it one is made for this call.
    """
    if client is None:
        client = session.node.create_client(SetParameters, f"{node}/set_parameters")
        try:
            set_parameters(session, node, values, client)
        finally:
            session.node.destroy_client(client)
        return
    what = f"answer from {client.service_name}"
    session.wait_until(client.service_is_ready, _ANSWER_LIMIT_S, lambda: what)
    messages = [Parameter(name=name, value=_value(value)) for name, value in values.items()]
    future = client.call_async(SetParameters.Request(parameters=messages))
    session.wait_until(future.done, _ANSWER_LIMIT_S, lambda: what)
    for result in future.result().results:
        if not result.successful:
            raise GraphError(f"{node} refuses {dict(values)}: {result.reason}")


def _value(value: bool | int | float | str) -> ParameterValue:
    if isinstance(value, str):
        return ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=value)
    if isinstance(value, bool):
        return ParameterValue(type=ParameterType.PARAMETER_BOOL, bool_value=value)
    if isinstance(value, int):
        return ParameterValue(type=ParameterType.PARAMETER_INTEGER, integer_value=value)
    return ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=value)
