"""The control rate and what follows from it."""

from __future__ import annotations

from typing import Final

CONTROL_RATE_HZ: Final = 30
CONTROL_PERIOD_S: Final = 1.0 / CONTROL_RATE_HZ
CONTROL_PERIOD_NS: Final = round(1e9 / CONTROL_RATE_HZ)
# 16 physics steps in a control period, a joint state every 4 of them (120 Hz; a Fetch publishes at about 100 Hz).
PHYSICS_STEPS_PER_PERIOD: Final = 16
PHYSICS_STEP_S: Final = CONTROL_PERIOD_S / PHYSICS_STEPS_PER_PERIOD
JOINT_STATE_EVERY_STEPS: Final = 4
JOINT_STATE_PERIOD_NS: Final = CONTROL_PERIOD_NS * JOINT_STATE_EVERY_STEPS // PHYSICS_STEPS_PER_PERIOD
# A trajectory coasts this long before its braking tail, so that a cycle that is a little late does not stutter.
COAST_S: Final = CONTROL_PERIOD_S
