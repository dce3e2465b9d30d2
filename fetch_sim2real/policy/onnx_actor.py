"""An actor that ONNX Runtime runs, from the file that ``policy.onnx_export`` writes.

============  =====================  ====================================================================
tensor        type, shape            meaning
============  =====================  ====================================================================
rgb           uint8 (B, S, S, 3)     the actor's image in storage form (``perception.preprocess``)
depth_mm      uint16 (B, S, S)       its depth [mm], 0 where there is none; both are left out for an actor
                                     that sees no picture
vector        float32 (B, n)         the normalized vector (``perception.observe``)
state         float32 (B, s)         the recurrent state, zeros at the start; only of an actor with memory
action        float32 (B, 4)         the action in [-1, 1]
next_state    float32 (B, s)         the state for the next step; only of an actor with memory
============  =====================  ====================================================================
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.perception.observe import ObservationSpec
from fetch_sim2real.policy.onnx_session import OnnxSession

RGB: Final = "rgb"
DEPTH: Final = "depth_mm"
VECTOR: Final = "vector"
STATE: Final = "state"
ACTION: Final = "action"
NEXT_STATE: Final = "next_state"


class OnnxActor:
    """A ``StepActor`` in ONNX Runtime."""

    def __init__(self, model: bytes, file: str, observation: ObservationSpec, state_size: int) -> None:
        self._session = OnnxSession(model, file)
        self.observation, self.state_size = observation, state_size

    def step(
        self,
        rgb: NDArray[np.uint8],
        depth_mm: NDArray[np.uint16],
        vector: NDArray[np.float32],
        state: NDArray[np.float32],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See StepActor."""
        inputs: dict[str, NDArray[Any]] = {RGB: rgb, DEPTH: depth_mm, VECTOR: vector, STATE: state}
        told = {name: inputs[name] for name in self._session.inputs}
        if not self.state_size:
            return self._session.run([ACTION], told)[0], state
        action, state = self._session.run([ACTION, NEXT_STATE], told)
        return action, state
