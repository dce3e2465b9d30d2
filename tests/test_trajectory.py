"""Stopping trajectories: they end at rest, keep the acceleration, and are sampled exactly at their points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.limits import PROFILES
from fetch_sim2real.control.trajectory import (
    RunningTrajectory,
    braked_velocity,
    braking_trajectory,
    position_after_step,
    sample_trajectory,
    stopping_trajectory,
)
from fetch_sim2real.timing import CONTROL_PERIOD_NS, CONTROL_PERIOD_S
from fetch_sim2real.types import FloatArray, JointSetpoint

DT = CONTROL_PERIOD_S
ACCELERATION = PROFILES["default"].acceleration
REST = np.zeros(7)
velocities = arrays(np.float64, 7, elements=st.floats(-1.2, 1.2))
changes = arrays(np.float64, 7, elements=st.floats(-1.0, 1.0))


def setpoint_after(start: JointSetpoint, velocity: FloatArray) -> JointSetpoint:
    return JointSetpoint(position_after_step(start.position, start.velocity, velocity), velocity)


@settings(deadline=None)
@given(velocity=velocities, change=changes, brakes=st.booleans())
def test_motion_is_continuous_within_the_acceleration_and_ends_at_rest(
    velocity: FloatArray, change: FloatArray, brakes: bool
) -> None:
    start = JointSetpoint(np.arange(7.0) / 7, velocity)
    goal = setpoint_after(start, velocity + change * ACCELERATION * DT)
    trajectory = braking_trajectory(start, ACCELERATION) if brakes else stopping_trajectory(goal, ACCELERATION)
    assert trajectory.joint_names == ARM.joint_names
    times = [point.time_from_start_s for point in trajectory.points]
    assert times == sorted(set(times))
    assert not np.any(trajectory.points[-1].velocity)

    grid = np.linspace(0.0, times[-1] + 0.1, 400)
    states = [sample_trajectory(trajectory, start, t) for t in grid]
    position = np.array([state.position for state in states])
    speed = np.array([state.velocity for state in states])
    step = grid[1] - grid[0]
    assert np.all(np.abs(np.diff(speed, axis=0)) <= ACCELERATION * step * (1 + 1e-6) + 1e-9)
    # The velocity is the derivative of the position.
    np.testing.assert_allclose(np.diff(position, axis=0), 0.5 * (speed[1:] + speed[:-1]) * step, atol=2e-5)
    np.testing.assert_array_equal(states[-1].position, trajectory.points[-1].position)
    np.testing.assert_array_equal(states[-1].velocity, REST)


@given(velocity=velocities)
def test_points_are_sampled_bit_for_bit(velocity: FloatArray) -> None:
    start = JointSetpoint.at_rest(REST)
    trajectory = stopping_trajectory(setpoint_after(start, velocity), ACCELERATION)
    for point in trajectory.points:
        # Stamps are whole nanoseconds, points are not.
        for offset_s in (-4e-9, 0.0, 4e-9):
            state = sample_trajectory(trajectory, start, point.time_from_start_s + offset_s)
            np.testing.assert_array_equal(state.position, point.position)
            np.testing.assert_array_equal(state.velocity, point.velocity)
    assert sample_trajectory(trajectory, start, -1.0) is start


def test_a_setpoint_at_rest_is_a_single_point() -> None:
    trajectory = stopping_trajectory(JointSetpoint.at_rest(np.ones(7)), ACCELERATION)
    assert len(trajectory.points) == 1
    assert trajectory.points[0].time_from_start_s == DT


def test_a_tiny_velocity_gets_a_ramp_too() -> None:
    trajectory = stopping_trajectory(JointSetpoint(np.ones(7), np.full(7, 1e-13)), ACCELERATION)
    times = [point.time_from_start_s for point in trajectory.points]
    np.testing.assert_allclose(times, [DT, 2 * DT, 3 * DT])


@given(velocity=velocities)
def test_braking_ends_exactly_at_rest(velocity: FloatArray) -> None:
    for _ in range(40):
        braked = braked_velocity(velocity, ACCELERATION)
        assert np.all(np.abs(braked - velocity) <= ACCELERATION * DT * (1 + 1e-8))
        velocity = braked
    assert not velocity.any()


@pytest.mark.parametrize(
    ("braking", "periods", "expected"),
    [
        (False, 0.5, False),  # within the step
        (False, 1.0, True),
        (False, 1.7, True),  # coasting
        (False, 2.4, False),  # on the ramp, between whole periods
        (False, 3.0, True),
        (False, 50.0, True),  # at rest
        (True, 1.0, True),
        (True, 1.7, False),
        (True, 2.0, True),
    ],
)
def test_where_braking_stays_on_the_path(braking: bool, periods: float, expected: bool) -> None:
    start = JointSetpoint(REST, np.full(7, 0.5))
    if braking:
        running = RunningTrajectory(10**9, start, braking_trajectory(start, ACCELERATION), steps=0)
    else:
        goal = setpoint_after(start, np.full(7, 0.45))
        running = RunningTrajectory(10**9, start, stopping_trajectory(goal, ACCELERATION))
    assert running.brakes_on_path(10**9 + round(periods * CONTROL_PERIOD_NS)) is expected


def test_a_hold_is_on_its_path_from_the_start() -> None:
    rest = JointSetpoint.at_rest(REST)
    running = RunningTrajectory(0, rest, stopping_trajectory(rest, ACCELERATION))
    assert running.brakes_on_path(0)
    assert running.brakes_on_path(5_000_000)
