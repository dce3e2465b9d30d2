"""The policy node's parameters."""

from __future__ import annotations

from typing import Final

from fetch_sim2real.stack.options import AWAIT_START, CALIBRATION, DRIVERS_WORLD, LOOK, POLICY, RUNTIME

TABLE: Final = (POLICY, DRIVERS_WORLD, LOOK, RUNTIME, CALIBRATION, AWAIT_START)
