"""Node names, namespaces and remaps are free; what is private to a node lies under its name, wherever that is."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rclpy")

from rcl_interfaces.srv import DescribeParameters
from rclpy.node import Node

from arm_driver.settings import TABLE
from benchmarks.rig.graph_harness import START_LIMIT_S, running
from fetch_sim2real import graph
from fetch_sim2real.ros.parameters import help_of
from fetch_sim2real.ros.topics import local_name
from fetch_sim2real.stack.processes import NodeProcess

pytestmark = pytest.mark.ros


def test_a_driver_with_another_name_in_a_namespace_with_a_remap(tmp_path: Path) -> None:
    process = NodeProcess(
        "arm_driver",
        "my_driver",
        {"speed_scale": 0.5},
        0,
        namespace="left/robot",
        remappings=(("joint_states", "/fetch/joint_states"),),
    )
    with running([process], tmp_path) as (_, session):
        node: Node = session.node
        session.wait_until(
            lambda: node.count_publishers("/diagnostics") == 1, START_LIMIT_S, lambda: "driver, whose last this is"
        )
        assert node.count_publishers("/left/robot/my_driver/setpoint") == 1
        assert node.count_subscribers("/fetch/joint_states") == 1
        assert node.count_subscribers("/left/robot/joint_command") == 1
        assert node.count_publishers("/left/robot/arm_controller/joint_trajectory") == 1
        for absolute in ("/joint_states", "/joint_command", "/arm_driver/setpoint", "/my_driver/setpoint"):
            assert node.count_publishers(absolute) + node.count_subscribers(absolute) == 0, absolute
        services = {name for name, _ in node.get_service_names_and_types()}
        assert {f"/left/robot/my_driver/{verb}" for verb in ("enable", "disable", "stop", "reset")} <= services

        # What tools show of the parameters, and that the overrides of the file reached the renamed node.
        client = node.create_client(DescribeParameters, "/left/robot/my_driver/describe_parameters")
        session.wait_until(client.service_is_ready, START_LIMIT_S, lambda: "parameters")
        future = client.call_async(DescribeParameters.Request(names=[parameter.name for parameter in TABLE]))
        session.wait_until(future.done, 10.0, lambda: "descriptions")
        for parameter, shown in zip(TABLE, future.result().descriptors, strict=True):
            assert shown.description == help_of(parameter) and parameter.description in shown.description
            assert shown.read_only is not parameter.changeable
            ranges = [(r.from_value, r.to_value) for r in (*shown.floating_point_range, *shown.integer_range)]
            assert ranges == ([] if parameter.low is None else [(parameter.low, parameter.high)])


@pytest.mark.parametrize(
    ("name", "local"),
    [
        ("/joint_states", "joint_states"),
        ("/policy/goal", "policy/goal"),
        ("/arm_driver/setpoint", "~/setpoint"),
        ("/policy_node/reset", "policy_node/reset"),
        ("/clock", "/clock"),
        ("/diagnostics", "/diagnostics"),
    ],
)
def test_names_as_the_driver_asks_for_them(name: str, local: str) -> None:
    class Driver:
        role = graph.ARM_DRIVER

    assert local_name(Driver(), name) == local  # type: ignore[arg-type]
