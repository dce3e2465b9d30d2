"""What is worked out for several arms at once is what each has alone, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.ik import DifferentialIk
from fetch_sim2real.arm.limits import PROFILES
from fetch_sim2real.control.action import action_to_command, actions_to_commands
from fetch_sim2real.control.trajectory import (
    RunningTrajectory,
    braking_trajectory,
    states_at,
    stopping_trajectories,
    stopping_trajectory,
)
from fetch_sim2real.errors import CommandError
from fetch_sim2real.sim.sensors.joint_readings import ZeroError
from fetch_sim2real.sim.servos import ArmServos, send_together
from fetch_sim2real.timing import CONTROL_PERIOD_NS, PHYSICS_STEPS_PER_PERIOD
from fetch_sim2real.types import FloatArray, JointSetpoint, JointTrajectory

ACCELERATION = PROFILES["default"].acceleration
JOINTS = ARM.joint_count


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def trajectories(rng: np.random.Generator) -> tuple[list[JointSetpoint], list[JointTrajectory]]:
    """Starts and trajectories of every kind: they move, brake, rest."""
    setpoints = [JointSetpoint(*rng.uniform(-1.0, 1.0, (2, JOINTS))) for _ in range(4)]
    rest = JointSetpoint.at_rest(setpoints[0].position)
    moving = [stopping_trajectory(each, ACCELERATION) for each in (*setpoints[:2], rest)]
    starts = [*setpoints[2:], rest, setpoints[3]]
    return starts, [*moving, braking_trajectory(setpoints[3], ACCELERATION)]


def test_states_of_trajectories_at_any_time(rng: np.random.Generator) -> None:
    starts, sent = trajectories(rng)
    shares = (-1.0, 0.0, 0.3, 1.0, 1.5, 2.0, 2.7, 500.0)
    running = [RunningTrajectory(10**9, *each) for each in zip(starts, sent, strict=True) for _ in shares]
    times_ns = [10**9 + round(share * CONTROL_PERIOD_NS) for share in shares] * len(starts)
    position, velocity = states_at(running, times_ns)
    for row, (each, time_ns) in enumerate(zip(running, times_ns, strict=True)):
        alone = each.at(time_ns)
        np.testing.assert_array_equal(position[row], alone.position)
        np.testing.assert_array_equal(velocity[row], alone.velocity)


def test_stopping_trajectories_of_moving_and_resting_arms(rng: np.random.Generator) -> None:
    position, velocity = rng.uniform(-1.0, 1.0, (2, 3, JOINTS))
    velocity[1] = 0.0
    together = stopping_trajectories(position, velocity, ACCELERATION, ARM.joint_names)
    for row, each in enumerate(together):
        alone = stopping_trajectory(JointSetpoint(position[row], velocity[row]), ACCELERATION)
        assert [p.time_from_start_s for p in each.points] == [p.time_from_start_s for p in alone.points]
        np.testing.assert_array_equal([p.position for p in each.points], [p.position for p in alone.points])
        np.testing.assert_array_equal([p.velocity for p in each.points], [p.velocity for p in alone.points])


def servos(start: JointSetpoint, latency_steps: int) -> ArmServos:
    zero_error = ZeroError(np.full(JOINTS, 0.01), np.full(JOINTS, 0.002))
    return ArmServos(start.position, zero_error, np.full(JOINTS, 0.03), latency_steps, jitter_steps=(0, 3))


def targets_until(arm: ArmServos, step: int, end: int) -> FloatArray:
    """Targets of the steps to ``end`` with trajectories taken up on their way, as the simulation asks for them."""
    parts = []
    while step < end:
        stop = arm.accept_due(step, min(end, step + PHYSICS_STEPS_PER_PERIOD))
        parts.append(arm.targets(step, stop - step))
        step = stop
    return np.concatenate(parts)


def test_servos_are_given_what_they_are_given_alone(rng: np.random.Generator) -> None:
    starts, sent = trajectories(rng)
    latencies = (0, 5, 20, 40)
    together, alone = ([servos(*each) for each in zip(starts, latencies, strict=True)] for _ in range(2))
    # The next ones come while some are still under way.
    for step, order in ((0, sent), (16, sent[::-1])):
        send_together(together, [step] * len(order), order)
        for arm, trajectory in zip(alone, order, strict=True):
            arm.send(step, trajectory)
        for both in zip(together, alone, strict=True):
            np.testing.assert_array_equal(*(targets_until(arm, step, step + 16) for arm in both))
    for both in zip(together, alone, strict=True):
        np.testing.assert_array_equal(*(targets_until(arm, 32, 120) for arm in both))


def test_what_is_under_way_starts_from_a_hold_that_came_between(rng: np.random.Generator) -> None:
    starts, sent = trajectories(rng)
    arm = servos(starts[0], 20)
    arm.send(0, sent[0])
    targets_until(arm, 0, 32)
    arm.send(32, sent[1])
    arm.hold(40)
    held_rad = arm.desired_rad(40)
    due = arm.accept_due(40, 100)
    assert due < 100
    targets_until(arm, 40, due)
    np.testing.assert_array_equal(arm.desired_rad(due), held_rad)
    targets_until(arm, due, due + 10)
    np.testing.assert_allclose(arm.desired_rad(due), held_rad, atol=1e-12)
    assert not np.allclose(arm.desired_rad(due + 10), held_rad)


def test_commands_of_several_actions_and_what_is_no_action(rng: np.random.Generator) -> None:
    ik = DifferentialIk(0.0)
    setpoints = [JointSetpoint(ARM.home_rad + rng.normal(0.0, 0.05, JOINTS), np.zeros(JOINTS)) for _ in range(3)]
    actions, box = rng.uniform(-1.5, 1.5, (3, 4)), (np.full(3, -2.0), np.full(3, 2.0))
    together = actions_to_commands(actions, setpoints, ik, 0.02, True, box, [1, 2, 3])
    for row, each in enumerate(together):
        alone = action_to_command(actions[row], setpoints[row], ik, 0.02, True, box, row + 1)
        np.testing.assert_array_equal(each.position, alone.position)
        np.testing.assert_array_equal(each.velocity, alone.velocity)
        assert (each.stamp_ns, each.finger_position_m) == (alone.stamp_ns, alone.finger_position_m)
    actions[1, 2] = np.nan
    with pytest.raises(CommandError, match="nan"):
        actions_to_commands(actions, setpoints, ik, 0.02, True, box, [1, 2, 3])
