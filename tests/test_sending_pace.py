"""A way to the robot that takes only every other trajectory: what is sent in between is what was sent before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.limits import limit_profile
from fetch_sim2real.control.checks import FilterSettings
from fetch_sim2real.control.filter import SafetyFilter
from fetch_sim2real.control.trajectory import held_until, position_after_step
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.sim.servos import TrajectoryFollower
from fetch_sim2real.timing import CONTROL_PERIOD_NS, CONTROL_PERIOD_S
from fetch_sim2real.types import FloatArray, JointCommand, JointSample
from fetch_sim2real.workcell import load_workcell

PROFILE = limit_profile("default")
START_NS = 1_000_000_000


class Rig:
    """A filter at half pace, and a controller that follows what it sends and nothing else."""

    def __init__(self) -> None:
        settings = replace(FilterSettings(), send_periods=2)
        self.filter = SafetyFilter(PROFILE, load_workcell("nominal", worlds_dir()).scene(), settings)
        self.now_ns = START_NS
        self.arm = TrajectoryFollower(ARM.home_rad, 1.0)
        decision = self.filter.activate(self.now_ns, self.sample())
        self.setpoint = decision.setpoint
        self.sent_ns: list[int] = []

    def sample(self) -> JointSample:
        position, velocity = self.arm.desired(np.array([self.now_ns * 1e-9]))
        return JointSample(self.now_ns, position[0], velocity[0], 0.0)

    def step(self, velocity: FloatArray | None) -> str:
        self.now_ns += CONTROL_PERIOD_NS
        self.filter.on_joint_sample(self.sample())
        if velocity is None:
            command = JointCommand(self.now_ns, hold=True)
        else:
            position = position_after_step(self.setpoint.position, self.setpoint.velocity, velocity)
            command = JointCommand(self.now_ns, position, velocity)
        decision = self.filter.on_command(self.now_ns, command)
        if decision.trajectory is not None:
            self.arm.accept(decision.trajectory, self.now_ns * 1e-9)
            self.sent_ns.append(self.now_ns)
        self.setpoint = decision.setpoint
        return decision.outcome


def drawn_velocities(count: int) -> list[FloatArray]:
    rng = np.random.default_rng(5)
    walk = np.cumsum(rng.normal(0.0, 0.08, (count, 7)), axis=0)
    return list(np.clip(walk, -0.5, 0.5))


def test_the_setpoint_is_where_the_controller_will_be() -> None:
    rig = Rig()
    for velocity in drawn_velocities(120):
        assert rig.step(velocity) in ("command", "limited", "paced")
        due_s = (rig.now_ns + CONTROL_PERIOD_NS) * 1e-9
        position, reached = rig.arm.desired(np.array([due_s]))
        np.testing.assert_allclose(position[0], rig.setpoint.position, atol=1e-6)
        np.testing.assert_allclose(reached[0], rig.setpoint.velocity, atol=1e-5)


def test_two_periods_lie_between_trajectories_and_braking_does_not_wait() -> None:
    rig = Rig()
    for velocity in drawn_velocities(60):
        rig.step(velocity)
    assert set(np.round(np.diff(rig.sent_ns) / CONTROL_PERIOD_NS)) == {2.0}
    rig.step(np.full(7, 0.2))
    if rig.sent_ns[-1] != rig.now_ns:
        rig.step(np.full(7, 0.2))
    assert rig.step(None) == "hold"
    assert rig.sent_ns[-1] == rig.now_ns


def test_limits_hold_and_what_is_sent_last_ends_at_rest() -> None:
    rig = Rig()
    before = np.zeros(7)
    for velocity in drawn_velocities(200):
        rig.step(velocity)
        assert np.all(np.abs(rig.setpoint.velocity) <= PROFILE.velocity * (1 + 1e-9))
        change = np.abs(rig.setpoint.velocity - before)
        assert np.all(change <= PROFILE.acceleration * CONTROL_PERIOD_S * (1 + 1e-6))
        before = rig.setpoint.velocity
        _, velocity_later = rig.arm.desired(np.array([rig.now_ns * 1e-9 + 2.0]))
        assert not np.any(velocity_later)


@pytest.mark.parametrize("end_s", [0.05, 0.3])
def test_a_held_trajectory_is_the_same_and_lasts(end_s: float) -> None:
    rig = Rig()
    decision = rig.filter.on_command(
        rig.now_ns + 2 * CONTROL_PERIOD_NS,
        JointCommand(rig.now_ns + 2 * CONTROL_PERIOD_NS, ARM.home_rad, np.full(7, 0.01)),
    )
    assert decision.trajectory is not None
    held = held_until(decision.trajectory, end_s)
    assert held.points[-1].time_from_start_s >= end_s and not np.any(held.points[-1].velocity)
    assert held.points[: len(decision.trajectory.points)] == decision.trajectory.points
