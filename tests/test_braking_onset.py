"""When benchmarks say that an arm began to brake."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.faults.measure import NotMeasuredError, braking_began

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
