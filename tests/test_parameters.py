"""A node's parameters as ROS sets them: what takes effect, what is refused, and what was meant for others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("rclpy")

import rclpy
from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from fetch_sim2real.common.option import Option, OptionError
from fetch_sim2real.ros.parameters import Parameters

TABLE = (
    Option("speed", 1.0, "a cap", low=0.0, high=1.0, changeable=True),
    Option("mode", "live", "how", choices=("live", "shadow")),
)


@pytest.fixture
def context() -> Iterator[rclpy.Context]:
    context = rclpy.Context()
    rclpy.init(context=context)
    yield context
    rclpy.try_shutdown(context=context)


def node_with(context: rclpy.Context, **given: object) -> Node:
    overrides = [RosParameter(name, value=value) for name, value in given.items()]
    return Node("node", context=context, parameter_overrides=overrides, use_global_arguments=False)


def given_to(node: Node, name: str, value: object) -> SetParametersResult:
    return node.set_parameters([RosParameter(name, value=value)])[0]


def test_a_change_is_taken_up_unless_it_is_refused(context: rclpy.Context) -> None:
    node, taken = node_with(context), []
    parameters = Parameters(node, TABLE)
    parameters.on_change("speed", lambda value: "too fast" if value > 0.5 else "", taken.append)
    assert given_to(node, "speed", 0.2).successful
    assert (parameters.number("speed"), taken) == (0.2, [0.2])
    refused = given_to(node, "speed", 0.9)
    assert not refused.successful and refused.reason == "too fast"
    assert not given_to(node, "speed", 7.0).successful
    assert (parameters.number("speed"), taken) == (0.2, [0.2])
    atomic = node.set_parameters_atomically(
        [RosParameter("speed", value=0.1), RosParameter("speed", value=0.8)]
    )
    assert not atomic.successful and taken == [0.2]
    node.destroy_node()


def test_what_would_have_no_effect_is_refused(context: rclpy.Context) -> None:
    node = node_with(context)
    Parameters(node, TABLE)
    refused = given_to(node, "use_sim_time", True)
    assert not refused.successful and "'use_sim_time' is fixed when the node starts" in refused.reason
    assert given_to(node, "use_sim_time", False).successful
    assert not given_to(node, "mode", "shadow").successful
    node.destroy_node()


def test_an_unknown_name_for_this_node_is_refused_and_one_for_all_nodes_ignored(context: rclpy.Context) -> None:
    node = node_with(context, sped=0.5, speed=0.25)
    with pytest.raises(OptionError, match="no parameter 'sped', did you mean speed"):
        Parameters(node, TABLE)
    node.destroy_node()
    node = node_with(context, sped=0.5, speed=0.25)
    assert Parameters(node, TABLE, {"sped"}).number("speed") == 0.25
    node.destroy_node()
    node = node_with(context, speed=2.0)
    with pytest.raises(OptionError, match="expected 0 to 1"):
        Parameters(node, TABLE, {"speed"})
    node.destroy_node()
