"""Marks of tests that meet real deadlines, which a busy machine may miss: these alone are tried again."""

from __future__ import annotations

import pytest

BRAKES_IN_TIME = pytest.mark.flaky(
    reruns=1, reason="when braking begins is bounded by the wall clock: a machine that lets the driver wait is later"
)
DRIVES_IN_TIME = pytest.mark.flaky(
    reruns=1, reason="drives an arm by the wall clock: on a busy machine commands come later than the driver waits"
)
