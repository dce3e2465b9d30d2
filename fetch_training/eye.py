"""What stands for the actor's eyes: its encoder on pictures, or the truth with errors like the encoder's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from fetch_sim2real.observation.preprocess import ImageSpec, preprocess
from fetch_sim2real.policy.network import Actor
from fetch_sim2real.sim.shutter import Captured
from fetch_sim2real.sim.world import SimWorld
from fetch_sim2real.types import FloatArray


class Eye(Protocol):
    """Gives the actor's bottleneck of a frame."""

    def start(self, rng: np.random.Generator) -> None:
        """A new episode begins."""
        ...

    def see(self, captured: Captured, sim: SimWorld) -> torch.Tensor:
        """Bottleneck (1, b)."""
        ...


class EncoderEye:
    """The actor's own encoder, on the frame's picture."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor

    def start(self, rng: np.random.Generator) -> None:
        """Nothing is remembered."""

    def see(self, captured: Captured, sim: SimWorld) -> torch.Tensor:
        assert captured.frame is not None, "the world was made without a camera"
        image = preprocess(captured.frame, sim.camera_model, self._image)
        with torch.inference_mode():
            return self._actor.encode(torch.from_numpy(image.rgb)[None], torch.from_numpy(image.depth_mm)[None])

    @property
    def _image(self) -> ImageSpec:
        return self._actor.observation.image


def perfect_bottleneck(actor: Actor, captured: Captured, errors_m: FloatArray | float = 0.0) -> torch.Tensor:
    """The bottleneck (1, b) of an encoder that sees exactly, but for ``errors_m`` (6,)."""
    seen = np.concatenate([captured.truth.object_m, captured.truth.grip_m]) + errors_m
    return actor.normalize_auxiliary(torch.from_numpy(seen.astype(np.float32))[None])


@dataclass(frozen=True)
class SeeingErrors:
    """Standard deviations [m] of each axis: of an episode's constant error, which object and gripper share because it
    is the camera's; of a constant error of the object alone; and of each frame's error of either."""

    camera_m: float = 0.006
    object_m: float = 0.004
    frame_m: float = 0.004


NO_ERRORS = SeeingErrors(0.0, 0.0, 0.0)


class TruthEye:
    """True positions at the frame's time, as old as the camera's latency makes them: what a camera can show at best."""

    def __init__(self, actor: Actor, errors: SeeingErrors) -> None:
        self._actor = actor
        self._errors = errors
        self._rng = np.random.default_rng(0)
        self._bias: FloatArray = np.zeros(6)

    def start(self, rng: np.random.Generator) -> None:
        self._rng = rng
        camera = rng.normal(0.0, 1.0, 3) * self._errors.camera_m
        self._bias = np.concatenate([camera + rng.normal(0.0, 1.0, 3) * self._errors.object_m, camera])

    def see(self, captured: Captured, sim: SimWorld) -> torch.Tensor:
        errors = self._bias + self._rng.normal(0.0, 1.0, 6) * self._errors.frame_m
        return perfect_bottleneck(self._actor, captured, errors)
