"""What the driver finds out of the arm's controller: a stand-in declares the parameter that decides, or does not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")

from rclpy.node import Node

from arm_driver.joint_trajectory_backend import ReferenceWatch
from benchmarks.rig.graph_harness import START_LIMIT_S, Tap, running, values_of
from fetch_sim2real import graph
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.limits import limit_profile
from fetch_sim2real.control.trajectory import position_after_step, stopping_trajectory
from fetch_sim2real.ros.session import RosSession
from fetch_sim2real.sim.servos import TrajectoryFollower
from fetch_sim2real.stack.processes import NodeProcess
from fetch_sim2real.timing import CONTROL_PERIOD_S
from fetch_sim2real.types import JointSetpoint


@contextmanager
def controller(session: RosSession, declared: dict[str, bool]) -> Iterator[None]:
    node = Node("arm_controller", context=session.node.context)
    for name, value in declared.items():
        node.declare_parameter(name, value)
    executor = session.node.executor
    assert executor is not None
    executor.add_node(node)
    try:
        yield
    finally:
        executor.remove_node(node)
        node.destroy_node()


@pytest.mark.ros
def test_the_driver_tells_where_the_controller_starts_trajectories_from(tmp_path: Path) -> None:
    process = NodeProcess("arm_driver", graph.ARM_DRIVER, {}, 0)
    with running([process], tmp_path) as (_, session):
        told = Tap(session, graph.DIAGNOSTICS)

        def warning() -> str:
            statuses = [status for message in told.messages for status in message.status]
            return next((s.message for s in reversed(statuses) if s.name.endswith(graph.ARM_DRIVER)), "")

        def wait_for(starts_from: str) -> None:
            session.wait_until(
                lambda: values_of(told, graph.ARM_DRIVER).get("controller_starts_from") == starts_from,
                START_LIMIT_S,
                lambda: f"{starts_from} but {values_of(told, graph.ARM_DRIVER)}",
            )

        wait_for("unknown")
        assert "interpolate_from_desired_state" not in warning()
        with controller(session, {"interpolate_from_desired_state": False}):
            wait_for("measured")
            assert "set interpolate_from_desired_state: true" in warning()
        wait_for("unknown")
        with controller(session, {"interpolate_from_desired_state": True}):
            wait_for("desired")
            assert "interpolate_from_desired_state" not in warning()
        with controller(session, {}):
            wait_for("unknown")


@pytest.mark.parametrize("is_measured", [False, True])
def test_a_reference_that_is_set_back_is_noticed(is_measured: bool) -> None:
    """Trajectories as the driver sends them, reported at 50 Hz; the arm is 40 ms behind its reference."""
    acceleration = limit_profile("default").acceleration
    velocity = np.array([0.6, 0.0, 0.0, 0.0, 0.0, 0.3, -0.8])
    follower, watch = TrajectoryFollower(ARM.home_rad, 0.0), ReferenceWatch()
    setpoint = JointSetpoint.at_rest(ARM.home_rad)
    sent = 0
    for step in range(120):
        now_s = 0.01 * step
        if now_s >= sent * CONTROL_PERIOD_S:
            sent += 1
            after = np.clip(velocity - setpoint.velocity, -acceleration / 30, acceleration / 30) + setpoint.velocity
            setpoint = JointSetpoint(position_after_step(setpoint.position, setpoint.velocity, after), after)
            position, speed = follower.desired(np.array([now_s]))
            behind = JointSetpoint(position[0] - 0.04 * speed[0], speed[0])
            follower.accept(stopping_trajectory(setpoint, acceleration), now_s, behind if is_measured else None)
        if step % 2 == 0:
            position, speed = follower.desired(np.array([now_s]))
            watch.note(now_s, position[0].tolist(), speed[0].tolist())
    assert (watch.largest_jump_rad > 0.01) is is_measured


def test_a_jump_is_told_until_the_driver_moves_the_arm_again() -> None:
    watch, rest = ReferenceWatch(), [0.0] * 7
    for time_s, angle in ((0.0, 0.0), (0.02, 0.5)):
        watch.note(time_s, [angle] * 7, rest, is_ours=False)  # somebody else's affair
    assert watch.largest_jump_rad == 0.0
    for time_s, angle in ((0.04, 0.5), (0.06, 0.3)):
        watch.note(time_s, [angle] * 7, rest)
    watch.note(0.08, rest, rest, is_ours=False)
    assert watch.largest_jump_rad == pytest.approx(0.2)
    watch.note(0.10, [1.0] * 7, rest)
    assert watch.largest_jump_rad == 0.0


def test_reports_that_say_nothing_are_no_jumps() -> None:
    watch = ReferenceWatch()
    watch.note(0.0, [0.0] * 7, [0.0] * 7)
    watch.note(0.02, [1.0] * 7, [])  # no velocities
    watch.note(0.04, [2.0] * 6, [0.0] * 6)  # other joints
    watch.note(0.5, [3.0] * 6, [0.0] * 6)  # long after
    watch.note(0.52, [float("nan")] * 6, [0.0] * 6)
    watch.note(0.50, [9.0] * 6, [0.0] * 6)  # back in time
    assert watch.largest_jump_rad == 0.0
