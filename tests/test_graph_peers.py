"""Who must be in the graph for the arm to move, and who must not: refused at enable, watched while the arm moves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rclpy")

import rclpy
from deadlines import DRIVES_IN_TIME
from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import SetParameters
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher
from std_srvs.srv import Trigger

from arm_driver.peers import Peers
from benchmarks.rig.driver_rig import PAN, DriverRig, TopicRobot
from benchmarks.rig.graph_harness import RIG_NODE, running, set_parameter
from fetch_sim2real import graph
from fetch_sim2real.arm.limits import DEFAULT_PROFILE, limit_profile
from fetch_sim2real.ros.topics import publish_to, subscribe_to
from fetch_sim2real.stack.processes import NodeProcess
from fetch_sim2real.stack.ros_environment import claim_domain

pytestmark = pytest.mark.ros

DRIVER = NodeProcess("arm_driver", graph.ARM_DRIVER, {}, 0)
VELOCITY = 0.1 * PAN


@pytest.fixture(scope="module")
def module_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DriverRig]:
    with running([DRIVER], tmp_path_factory.mktemp("driver"), RIG_NODE, stays=True) as (_, session):
        yield DriverRig(session, TopicRobot(session))


@pytest.fixture
def rig(module_rig: DriverRig) -> DriverRig:
    module_rig.settle()
    return module_rig


@pytest.fixture
def other(rig: DriverRig, request: pytest.FixtureRequest) -> Iterator[Node]:
    """Another node in the graph, which does nothing yet."""
    node = Node(getattr(request, "param", "intruder"), context=rig.session.node.context)
    yield node
    node.destroy_node()
    count = rig.session.node.count_publishers
    rig.session.wait_until(lambda: count(graph.SETPOINT.name) == 1, 5.0, lambda: "one driver")


def sends_to_the_arm(node: Node) -> None:
    publish_to(node, graph.ARM_TRAJECTORY)


def sends_to_the_gripper(node: Node) -> None:
    publish_to(node, graph.GRIPPER_TRAJECTORY)


def sends_goals(node: Node) -> None:
    node.create_client(Trigger, f"{graph.ROBOT_ACTIONS[0]}/_action/send_goal")


def answers_as_the_driver(node: Node) -> None:
    publish_to(node, graph.SETPOINT)


def offers_enable(node: Node) -> None:
    node.create_service(Trigger, graph.DRIVER_ENABLE, lambda _, answer: answer)


def obeys_under_another_name(node: Node) -> None:
    subscribe_to(node, graph.JOINT_COMMAND, lambda message: None)
    node.create_service(Trigger, f"{node.get_fully_qualified_name()}/enable", lambda _, answer: answer)


@pytest.mark.parametrize(
    "act",
    [
        sends_to_the_arm,
        sends_to_the_gripper,
        sends_goals,
        answers_as_the_driver,
        offers_enable,
        obeys_under_another_name,
    ],
)
@DRIVES_IN_TIME
def test_who_should_not_be_there_is_named_and_nothing_moves_until_it_has_gone(
    rig: DriverRig, other: Node, act: Callable[[Node], None]
) -> None:
    rig.enable_and_drive(VELOCITY, 0.3)
    act(other)
    deadline = time.monotonic() + 5.0
    while rig.drive(VELOCITY, 0.1)[-1] != "refused:not_active":
        assert time.monotonic() < deadline, "the driver goes on"
    rig.session.wait_until(lambda: not np.any(rig.arm.desired()[1]), 5.0, lambda: "arm at rest")
    values = rig.state()
    assert values["state"] == "hold" and "intruder" in values["reason"], values
    assert "intruder" in rig.refusal()
    other.destroy_node()
    rig.session.spin(0.3)
    rig.enable()


@pytest.mark.parametrize("other", [graph.SIM_BRIDGE], indirect=True)
def test_a_simulation_beside_the_robot_is_refused(rig: DriverRig, other: Node) -> None:
    publish_to(other, graph.JOINT_STATES)
    rig.session.spin(0.3)
    assert "sim_bridge" in rig.refusal()


@DRIVES_IN_TIME
def test_a_controller_that_leaves_is_missed(rig: DriverRig, other: Node) -> None:
    subscribe_to(other, graph.ARM_TRAJECTORY, lambda message: None)
    rig.session.spin(0.3)
    rig.enable_and_drive(VELOCITY, 0.3)
    assert "/intruder" in rig.state()["listeners_arm_controller_joint_trajectory"]
    rig.enable_and_drive(VELOCITY, 0.3)
    other.destroy_node()
    decisions = rig.drive(VELOCITY, 0.5)
    assert decisions[-1] == "refused:not_active"
    reason = rig.state()["reason"]
    assert "/intruder no longer subscribes to /arm_controller/joint_trajectory" in reason


def test_asking_to_enable_while_the_arm_moves_hides_no_controller_that_has_left() -> None:
    """The graph changes between two of the driver's looks."""
    with peers_with_robot() as (peers, driver, robot, arm):
        peers.begin()
        robot.destroy_node()
        wait_for_listeners(driver, arm, 0)
        assert "nobody who moves a robot" in peers.refusal()
        assert "/robot no longer subscribes" in peers.complaint()


def test_a_gripper_that_nobody_has_is_asked_for_until_the_driver_is_disabled() -> None:
    with peers_with_robot() as (peers, _, _, _):
        gripper = graph.GRIPPER_TRAJECTORY.name
        assert gripper not in peers.refusal()
        assert gripper in peers.need_gripper()
        assert gripper in peers.refusal()
        peers.release()
        assert gripper not in peers.refusal()
        assert gripper in peers.need_gripper()


@contextmanager
def peers_with_robot() -> Iterator[tuple[Peers, Node, Node, Publisher]]:
    """Peers as a driver asks them, and a robot with an arm and no gripper, alone in a domain of their own."""
    domain, lock = claim_domain()
    context = Context()
    rclpy.init(context=context, domain_id=domain)
    driver, robot = Node("arm_driver", context=context), Node("robot", context=context)
    try:
        arm, gripper = publish_to(driver, graph.ARM_TRAJECTORY), publish_to(driver, graph.GRIPPER_TRAJECTORY)
        setpoints = publish_to(driver, graph.SETPOINT)
        commands = subscribe_to(driver, graph.JOINT_COMMAND, lambda message: None)
        subscribe_to(robot, graph.ARM_TRAJECTORY, lambda message: None)
        wait_for_listeners(driver, arm, 1)
        peers = Peers(driver, commands, setpoints, [arm, gripper], is_live=True, owns_joint_states=False)
        yield peers, driver, robot, arm
    finally:
        robot.destroy_node()
        driver.destroy_node()
        context.shutdown()
        lock.close()


def wait_for_listeners(node: Node, publisher: Publisher, count: int) -> None:
    deadline = time.monotonic() + 5.0
    while node.count_subscribers(publisher.topic_name) != count or publisher.get_subscription_count() != count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_robot_that_cannot_hear_is_named(rig: DriverRig, other: Node) -> None:
    latched = replace(graph.ARM_TRAJECTORY, subscribe=graph.Qos("reliable", 1, "transient_local"))
    subscribe_to(other, latched, lambda message: None)
    rig.session.spin(0.3)
    assert "/intruder subscribes to /arm_controller/joint_trajectory with a QoS" in rig.refusal()


@pytest.mark.parametrize(
    ("name", "listens"), [("rqt_gui_py_node_4711", True), ("plotjuggler", True), ("arm_controller", False)]
)
def test_plots_of_a_trajectory_are_no_robot(name: str, listens: bool) -> None:
    assert graph.only_listens(name) is listens


@pytest.mark.parametrize("other", [graph.RECORDER, graph.CHECK_GRAPH, graph.VIEW, "_ros2cli_7"], indirect=True)
@DRIVES_IN_TIME
def test_who_only_listens_comes_and_goes(rig: DriverRig, other: Node) -> None:
    name = other.get_name()
    rig.enable_and_drive(VELOCITY, 0.2)
    for topic in (graph.ARM_TRAJECTORY, graph.GRIPPER_TRAJECTORY, graph.SETPOINT, graph.JOINT_COMMAND):
        subscribe_to(other, topic, lambda message: None)
    rig.drive(VELOCITY, 0.3)
    assert name not in rig.state()["reason"]
    rig.enable_and_drive(VELOCITY, 0.2)
    other.destroy_node()
    rig.drive(VELOCITY, 0.3)
    assert name not in rig.state()["reason"]


@DRIVES_IN_TIME
def test_a_lower_speed_cap_holds_at_once_and_a_higher_one_is_refused(rig: DriverRig) -> None:
    top = limit_profile(DEFAULT_PROFILE).velocity[0]
    fast = 0.4 * top * PAN
    client = rig.session.node.create_client(SetParameters, f"/{graph.ARM_DRIVER}/set_parameters")
    rig.session.wait_until(client.service_is_ready, 5.0, lambda: "parameters")

    def while_driving(speed_scale: float) -> SetParametersResult:
        parameter = Parameter("speed_scale", value=speed_scale).to_parameter_msg()
        future = client.call_async(SetParameters.Request(parameters=[parameter]))
        rig.drive(fast, 0.5)
        return future.result().results[0]

    # An attempt before this one may have left it low.
    assert set_parameter(rig.session, graph.ARM_DRIVER, Parameter("speed_scale", value=1.0))[0]
    rig.enable_and_drive(fast, 0.5)
    assert rig.setpoint().velocity[0] > 0.35 * top
    assert while_driving(0.2).successful
    assert rig.setpoint().velocity[0] == pytest.approx(0.2 * top)
    refused = while_driving(0.5)
    assert not refused.successful and "only be lowered" in refused.reason
    assert rig.setpoint().velocity[0] == pytest.approx(0.2 * top)
    rig.settle()
    assert set_parameter(rig.session, graph.ARM_DRIVER, Parameter("speed_scale", value=1.0))[0]
    rig.session.node.destroy_client(client)
