"""Runs a bundle's actor step by step: what the policy node and the evaluation loop hold."""

from __future__ import annotations

import numpy as np
import torch

from fetch_sim2real.errors import ObservationError
from fetch_sim2real.perception.observe import ActionHistory, Observation
from fetch_sim2real.policy.bundle import PolicyBundle
from fetch_sim2real.policy.look_rates import EVERY_FRAME, Look
from fetch_sim2real.policy.open_loop import make_seeing
from fetch_sim2real.types import FloatArray


class Policy:
    """The actor with its memory: recurrent state and last actions. One per episode stream; not for threads to share."""

    def __init__(self, bundle: PolicyBundle, look: Look = EVERY_FRAME) -> None:
        """``look``: when the actor sees; all but every frame are baselines."""
        self._actor = bundle.actor
        self._seeing = make_seeing(bundle.actor, look)
        self._spec = bundle.manifest.observation
        self._history = ActionHistory(self._spec.last_actions)
        self._state = self._actor.initial_state()

    @property
    def last_actions(self) -> FloatArray:
        """The actions (k, 4), newest first, that ``observe`` wants for the next observation."""
        return self._history.recent()

    def reset(self) -> None:
        """Forget the episode."""
        self._history.reset()
        self._seeing.reset()
        self._state = self._actor.initial_state()

    def act(self, observation: Observation) -> FloatArray:
        """Action (4,) in [-1, 1] for ``observation``; remembered as the newest of ``last_actions``."""
        image, vector = observation.image, observation.vector
        side = self._spec.image.size
        if image.rgb.shape != (side, side, 3) or image.depth_mm.shape != (side, side):
            raise ObservationError(
                f"the policy's image is {image.rgb.shape} with depth {image.depth_mm.shape}, expected size {side}"
            )
        if vector.shape != (self._spec.vector_size,):
            raise ObservationError(f"the policy's vector is {vector.shape}, expected ({self._spec.vector_size},)")
        rgb, depth_mm = torch.from_numpy(image.rgb)[None], torch.from_numpy(image.depth_mm)[None]
        joined = torch.from_numpy(vector)[None]
        with torch.inference_mode():
            bottleneck = self._seeing.see(lambda: self._actor.encode(rgb, depth_mm), joined)
            output, self._state = self._actor.act(bottleneck, joined, self._state)
        action: FloatArray = output[0].numpy().astype(np.float64)
        if not np.all(np.isfinite(action)):
            raise ObservationError(f"the policy's action is {action.tolist()}: its observation is not finite")
        self._history.push(action)
        return action
