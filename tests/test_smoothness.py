"""Stops are smooth at the controller's output, however late and unevenly it takes up what it is sent."""

from __future__ import annotations

import pytest

from benchmarks.smoothness import CONTROLLERS, STOPS, Case, run


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
