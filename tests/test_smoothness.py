"""Stops are smooth at the controller's output, however late and unevenly it takes up what it is sent."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.smoothness import CONTROLLERS, STOPS, Case, run
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.limits import limit_profile
from fetch_sim2real.control.filter import SafetyFilter
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.sim.servos import TrajectoryFollower
from fetch_sim2real.types import JointSample
from fetch_sim2real.workcell import load_workcell


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("controller", CONTROLLERS)
def test_a_stop_makes_the_arm_no_faster_and_hardly_turns_it_back(controller: str, stop: str) -> None:
    for joint, lag_s, jitter_s, phase_s in (
        ("shoulder_pan", 0.02, 0.02, 0.009),
        ("wrist_roll", 0.06, 0.01, 0.025),
        ("wrist_roll", 0.0, 0.01, 0.001),
    ):
        found = run(Case(controller, stop, joint, lag_s, jitter_s, phase_s))
        assert found.peak <= 1.05
        assert found.back <= 0.1
        assert found.goals <= 1
        assert found.rest_s <= 0.6


@pytest.mark.parametrize("controller", CONTROLLERS)
def test_what_brakes_by_itself_is_left_alone(controller: str) -> None:
    found = run(Case(controller, "silence"))
    assert found.goals == 0
    assert found.peak == pytest.approx(1.0, abs=0.01)
    assert found.acceleration == pytest.approx(1.0, abs=0.01)


def test_enabling_does_not_jerk_an_arm_that_hangs_below_where_it_is_held() -> None:
    safety = SafetyFilter(limit_profile("default"), load_workcell("nominal", worlds_dir()).scene())
    controller = TrajectoryFollower(ARM.home_rad + 0.02, 0.0)
    decision = safety.activate(10**9, JointSample(10**9, ARM.home_rad, np.zeros(7), 0.0))
    assert decision.trajectory is not None
    controller.accept(decision.trajectory, 0.0)
    position, velocity = controller.desired(np.arange(0.0, 1.0, 0.001))
    np.testing.assert_allclose(position[-1], ARM.home_rad)
    assert np.abs(velocity).max() < 0.15
