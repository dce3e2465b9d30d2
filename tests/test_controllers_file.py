"""The parameter file for ros2_control says what the driver's back end needs, by the graph's names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import yaml

from fetch_sim2real import graph, paths
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.control.checks import CONTROLLER_TOLERANCE_FACTOR, FilterSettings


@pytest.fixture(scope="module")
def parameters() -> dict[str, Any]:
    file = paths.shared_dir("config") / "controllers.yaml"
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    return {node: section["ros__parameters"] for node, section in content.items()}


@pytest.mark.parametrize(
    ("topic", "joints"), [(graph.ARM_TRAJECTORY, ARM.joint_names), (graph.GRIPPER_TRAJECTORY, ARM.gripper_joints)]
)
def test_trajectories_on_the_graphs_topics_go_on_from_the_desired_state(
    parameters: dict[str, Any], topic: graph.Topic, joints: tuple[str, ...]
) -> None:
    name = topic.name.removeprefix("/").removesuffix("/joint_trajectory")
    kind = parameters["controller_manager"][name]["type"]
    assert kind == "joint_trajectory_controller/JointTrajectoryController"
    controller = parameters[name]
    assert tuple(controller["joints"]) == joints
    assert controller["interpolate_from_desired_state"] is True
    assert controller["allow_nonzero_velocity_at_trajectory_end"] is False
    assert controller["command_interfaces"] == ["position"]
    assert controller["state_interfaces"] == ["position", "velocity"]
    # What leans on something, or holds it, rests off its goal: no reason to give up what is asked for.
    constraints = controller["constraints"]
    assert constraints["stopped_velocity_tolerance"] == 0.0 and constraints["goal_time"] == 0.0
    assert all(constraints[joint]["goal"] == 0.0 for joint in joints)


def test_the_driver_stops_before_the_controller_does(parameters: dict[str, Any]) -> None:
    constraints = parameters["arm_controller"]["constraints"]
    tolerances = [constraints[joint]["trajectory"] for joint in ARM.joint_names]
    bounds = np.array(FilterSettings().tracking_error_rad)
    np.testing.assert_allclose(tolerances, CONTROLLER_TOLERANCE_FACTOR * bounds)


def test_every_controller_that_is_loaded_is_described(parameters: dict[str, Any]) -> None:
    loaded = {name for name, value in parameters["controller_manager"].items() if isinstance(value, dict)}
    assert loaded == set(parameters) - {"controller_manager"}
    # A Fetch's own rate: the driver and the operator expect about that many joint states.
    assert parameters["joint_state_broadcaster"]["update_rate"] == 100
