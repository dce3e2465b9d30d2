"""When benchmarks say that an arm began to brake."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.faults.measure import CommandedMotion, NotMeasuredError, braking_began
from fetch_sim2real.control.trajectory import JointSetpoint, stopping_trajectory

TIMES_S = np.arange(-0.5, 1.5, 1 / 120)


def ramp(began_s: float, deceleration: float) -> np.ndarray:
    return np.clip(0.8 - deceleration * np.maximum(TIMES_S - began_s, 0.0), 0.0, None)


@pytest.mark.parametrize("deceleration", [1.5, 4.0, 100.0])
@pytest.mark.parametrize("began_s", [-0.05, 0.07, 0.3])
def test_the_beginning_of_a_ramp_is_found(began_s: float, deceleration: float) -> None:
    uneven = ramp(began_s, deceleration) * (1.0 + 0.1 * np.sin(40.0 * TIMES_S))
    found_s, stall_s = braking_began(TIMES_S, uneven, 0.0)
    assert found_s == pytest.approx(began_s, abs=0.02 + 0.08 / deceleration)  # a tenth of the speed is uneven
    assert stall_s == pytest.approx(1 / 120)


@pytest.mark.parametrize("speeds", [np.zeros_like(TIMES_S), np.full_like(TIMES_S, 0.8)])
def test_an_arm_that_rests_or_never_stops_is_not_measured(speeds: np.ndarray) -> None:
    with pytest.raises(NotMeasuredError):
        braking_began(TIMES_S, speeds, 0.0)


def test_trajectories_brake_after_a_period_and_the_coast_unless_another_one_comes() -> None:
    """A period of motion and one of coasting, counted from the last trajectory."""
    commanded, acceleration = CommandedMotion(), np.full(7, 2.0)
    for number, speed in enumerate((0.2, 0.3, 0.4)):
        velocity = np.full(7, speed)
        setpoint = JointSetpoint(velocity * number / 30, velocity)
        commanded.add(number / 30, stopping_trajectory(setpoint, acceleration))
    assert commanded.braking_began(2 / 30) == pytest.approx(2 / 30, abs=0.01)
    # From an earlier moment on it is as much later.
    assert commanded.braking_began(1 / 30) == pytest.approx(3 / 30, abs=0.01)


def test_trajectories_that_ask_for_no_motion_are_not_measured() -> None:
    commanded = CommandedMotion()
    commanded.add(0.0, stopping_trajectory(JointSetpoint.at_rest(np.zeros(7)), np.full(7, 2.0)))
    with pytest.raises(NotMeasuredError):
        commanded.braking_began(0.0)
