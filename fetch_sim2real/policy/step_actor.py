"""What runs in a policy, whatever computes it: torch (``policy.network``) or ONNX Runtime (``policy.onnx_export``)."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.perception.observe import ObservationSpec


class StepActor(Protocol):
    """Computes actions on observations of one moment, for B environments at once. It remembers nothing itself."""

    @property
    def observation(self) -> ObservationSpec:
        """What it sees."""
        ...

    @property
    def state_size(self) -> int:
        """Numbers of the recurrent state: 0 without memory. An episode starts with zeros."""
        ...

    def step(
        self,
        rgb: NDArray[np.uint8],
        depth_mm: NDArray[np.uint16],
        vector: NDArray[np.float32],
        state: NDArray[np.float32],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the actions (B, 4) in [-1, 1] and the states (B, s) after this step.

        Takes rgb (B, S, S, 3), depth (B, S, S) [mm], the normalized vector (B, n) and the states (B, s) before it.
        """
        ...
