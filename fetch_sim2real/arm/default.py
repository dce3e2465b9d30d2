"""The arm that everything runs with unless another one is given."""

from __future__ import annotations

from typing import Final

from fetch_sim2real.arm.fetch.spec import FETCH
from fetch_sim2real.arm.spec import ArmSpec

ARM: Final[ArmSpec] = FETCH
