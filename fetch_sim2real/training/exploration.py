"""Ways to explore, beside the relay and together with it: noise of three kinds, and novelty as a reward.

Noise is what a stochastic actor's spread is multiplied with, standard normal in every decision: *white*, *correlated*
with the decision before, or *pink*, correlated over all time scales (Eberhard et al. 2023, "Pink noise is all you
need"). Novelty is random network distillation (Burda et al. 2018, https://arxiv.org/abs/1810.12894).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import torch
from torch import nn

from fetch_sim2real.perception.observe import ACTION_SIZE
from fetch_sim2real.types import FloatArray

ExplorationName = Literal["relay", "none", "pink", "rnd", "relay_pink"]
Noise = Iterator[FloatArray]


@dataclass(frozen=True)
class Exploration:
    """Whether earlier skills take decisions, the noise on decisions, and whether new places are rewarded."""

    relays: bool
    noise: Literal["white", "correlated", "pink"]
    seeks_novelty: bool = False

    def make_noise(self, rng: np.random.Generator, count: int, correlation: float) -> Noise:
        """Return an endless sequence of noise (count, 4), for a decision in each of ``count`` environments."""
        if self.noise == "pink":
            return pink_noise(rng, count)
        return correlated_noise(rng, count, correlation if self.noise == "correlated" else 0.0)


EXPLORATIONS: Final[Mapping[ExplorationName, Exploration]] = {
    "relay": Exploration(relays=True, noise="correlated"),
    "none": Exploration(relays=False, noise="white"),
    "pink": Exploration(relays=False, noise="pink"),
    "rnd": Exploration(relays=False, noise="white", seeks_novelty=True),
    "relay_pink": Exploration(relays=True, noise="pink"),
}


def correlated_noise(rng: np.random.Generator, count: int, correlation: float) -> Noise:
    """Yield noise (count, 4), standard normal, correlated with the one before."""
    noise = rng.standard_normal((count, ACTION_SIZE))
    while True:
        yield noise
        noise = correlation * noise + math.sqrt(1.0 - correlation**2) * rng.standard_normal(noise.shape)


# Longer than an episode has decisions: what comes after so many has nothing to do with what was before.
_PINK_LENGTH: Final = 128


def pink_noise(rng: np.random.Generator, count: int) -> Noise:
    """Yield noise (count, 4), standard normal, whose power is inverse to frequency."""
    # Sums of sines with random phases; what is slower than the whole counts as that slow.
    amplitude = np.fft.rfftfreq(_PINK_LENGTH).clip(min=1.0 / _PINK_LENGTH) ** -0.5
    times = np.full(len(amplitude), 2.0)
    times[[0, -1]] = 1.0  # these two have no imaginary part, all others stand for two
    amplitude *= _PINK_LENGTH / math.sqrt(float(times @ amplitude**2))
    while True:
        real, imaginary = rng.standard_normal((2, len(amplitude), count, ACTION_SIZE)) / math.sqrt(2.0)
        real[[0, -1]] *= math.sqrt(2.0)
        yield from np.fft.irfft(amplitude[:, None, None] * (real + 1j * imaginary), n=_PINK_LENGTH, axis=0)


class Novelty(nn.Module):
    """How badly a network predicts what a fixed random one makes of the places of gripper and objects.

    What was often seen is predicted well, so novelty fades by itself; its weight stays. It is in units of its own
    running root mean square, and places are normalized by their running spread. It is added to rewards that are learned
    from and to nothing else: success is told by the simulation.
    """

    mean: torch.Tensor
    square: torch.Tensor
    error_square: torch.Tensor
    _WIDTH: Final = 64
    _FORGETS: Final = 0.01
    _MOST: Final = 5.0

    def __init__(self, places: Sequence[slice], learning_rate: float) -> None:
        """``places`` says where in the state positions (3,) of gripper and objects stand."""
        super().__init__()
        self._columns = [column for place in places for column in range(place.start, place.stop)]
        self._times = len(places)
        self.fixed, self.predictor = (
            nn.Sequential(
                nn.Linear(len(self._columns), self._WIDTH), nn.ReLU(),
                nn.Linear(self._WIDTH, self._WIDTH), nn.ReLU(), nn.Linear(self._WIDTH, self._WIDTH // 2),
            )
            for _ in range(2)
        )  # fmt: skip
        self.fixed.requires_grad_(False)
        for name, value in (("mean", 0.0), ("square", 1.0)):
            self.register_buffer(name, torch.full((len(self._columns),), value))
        self.register_buffer("error_square", torch.ones(()))
        self.optimizer = torch.optim.Adam(self.predictor.parameters(), learning_rate)

    def learn(self, state: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
        """Return the novelty (B,) of states (B, p) whose places were shifted in the plane (B, 2), and get used to them.
        """
        places = state[:, self._columns]
        places = places - nn.functional.pad(shift, (0, 1)).repeat(1, self._times)
        self.mean.lerp_(places.mean(0), self._FORGETS)
        self.square.lerp_(places.square().mean(0), self._FORGETS)
        spread = (self.square - self.mean.square()).clamp(min=1e-4).sqrt()
        seen = ((places - self.mean) / spread).clamp(-self._MOST, self._MOST)
        with torch.enable_grad():
            error = (self.predictor(seen) - self.fixed(seen)).square().mean(1)
            self.optimizer.zero_grad(set_to_none=True)
            error.mean().backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        error = error.detach()
        self.error_square.lerp_(error.square().mean(), self._FORGETS)
        return (error / self.error_square.sqrt().clamp(min=1e-8)).clamp(max=self._MOST)
