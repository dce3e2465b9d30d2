"""The scene publisher's parameters."""

from __future__ import annotations

from typing import Final

from fetch_sim2real.stack.options import SCENES_CALIBRATION, SCENES_POLICY, SCENES_WORLD

TABLE: Final = (SCENES_WORLD, SCENES_POLICY, SCENES_CALIBRATION)
