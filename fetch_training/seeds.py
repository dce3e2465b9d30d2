"""Which episode seeds training may use. Evaluation uses seeds below ``FIRST_TRAINING_SEED``, training those above."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

FIRST_TRAINING_SEED: Final = 1_000_000_000
_LAST_TRAINING_SEED: Final = 2**62


def training_seeds(run_seed: int, stream: str) -> Iterator[int]:
    """Endless episode seeds for one use (``stream``) within one training run; two streams never follow each other."""
    rng = np.random.default_rng([run_seed, *stream.encode()])
    while True:
        yield int(rng.integers(FIRST_TRAINING_SEED, _LAST_TRAINING_SEED))
