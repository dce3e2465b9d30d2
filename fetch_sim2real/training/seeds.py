"""Endless streams of episode seeds for training; which seeds those are, ``fetch_sim2real.sim.seeds`` says."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fetch_sim2real.sim.seeds import draw_training_seed


def training_seeds(run_seed: int, stream: str) -> Iterator[int]:
    """Yield episode seeds without end for one use (``stream``) within one training run.

    Two streams never follow each other.
    """
    rng = np.random.default_rng([run_seed, *stream.encode()])
    while True:
        yield draw_training_seed(rng)
