"""At which instants an episode's frames are taken and come, in physics steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fetch_sim2real.sim.randomization.sample import EpisodeDraw
from fetch_sim2real.sim.steps import steps_of
from fetch_sim2real.timing import PHYSICS_STEPS_PER_PERIOD


@dataclass(frozen=True)
class FrameTimes:
    """Instants of one episode. A frame's stamp is the instant of its colour.

    Depth is taken ``depth_steps`` after colour, before it if negative, by less than a control period. A frame comes
    ``latency_steps`` after its colour, give or take its entry of ``jitter_steps`` (frames,), which starts anew where it
    is over, and never sooner than ``least_steps`` after it.
    """

    first_step: int
    latency_steps: int
    depth_steps: int
    jitter_steps: tuple[int, ...]
    least_steps: int = 0

    def color_step(self, index: int) -> int:
        """When the frame's colour is taken."""
        return self.first_step + index * PHYSICS_STEPS_PER_PERIOD

    def depth_step(self, index: int) -> int:
        """When its depth is taken. Never before the episode: the first one may be less skewed than the others."""
        return max(self.first_step, self.color_step(index) + self.depth_steps)

    def publication_step(self, index: int) -> int:
        """When it comes, which is not before all of it is taken."""
        late_steps = self.latency_steps + self.jitter_steps[index % len(self.jitter_steps)]
        return self.color_step(index) + max(late_steps, self.depth_steps, self.least_steps)


def frame_times(draw: EpisodeDraw, first_step: int, end_step: int, least_steps: int = 0) -> FrameTimes:
    """Those of the episode ``draw`` between two physics steps; no frame comes before ``least_steps`` are over."""
    amplitude, jitter = steps_of(draw.publication_jitter_s), (0,)
    if amplitude > 0:
        frames = (end_step - first_step) // PHYSICS_STEPS_PER_PERIOD + 1
        rng = np.random.default_rng(draw.jitter_seed)
        jitter = tuple(rng.integers(-amplitude, amplitude, frames, endpoint=True).tolist())
    latency_steps = max(0, steps_of(draw.camera_latency_s))
    return FrameTimes(first_step, latency_steps, steps_of(draw.depth_skew_s), jitter, least_steps)
