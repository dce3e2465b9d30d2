"""Which episode seeds are for what: evaluation uses those below ``FIRST_TRAINING_SEED``, training those above."""

from __future__ import annotations

from typing import Final

import numpy as np

FIRST_TRAINING_SEED: Final = 1_000_000_000
_LAST_TRAINING_SEED: Final = 2**62


def draw_training_seed(rng: np.random.Generator) -> int:
    """Return an episode seed that no evaluation uses."""
    return int(rng.integers(FIRST_TRAINING_SEED, _LAST_TRAINING_SEED))
