"""Differences of positions within the actor are those of the physical positions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fetch_sim2real.perception.observe import ScaledValue
from fetch_sim2real.policy.network import RelativeFeature, RelativeFeatures

POSITIONS = {"goal": (0.6, -0.1, 0.8), "block": (0.55, 0.2, 0.74), "grip": (0.7, 0.0, 0.9)}


def _values() -> tuple[ScaledValue, ...]:
    rng = np.random.default_rng(0)
    return tuple(
        ScaledValue(name=f"{stem}_{axis}", centre=float(rng.normal()), scale=float(rng.uniform(0.1, 2.0)))
        for stem in POSITIONS
        for axis in "xyz"
    )


def test_relative_features_are_differences_in_metres_over_their_scale() -> None:
    values = _values()
    features = RelativeFeatures(
        (
            RelativeFeature(plus=("goal",), minus=("block",), scale_m=0.05),
            RelativeFeature(plus=("goal", "block"), minus=("grip",), scale_m=0.2),
        ),
        values,
    )
    physical = np.concatenate([POSITIONS[stem] for stem in POSITIONS])
    normalized = [(x - value.centre) / value.scale for x, value in zip(physical, values, strict=True)]
    got = features(torch.tensor([normalized], dtype=torch.float32))[0].numpy()
    goal, block, grip = (np.array(POSITIONS[stem]) for stem in POSITIONS)
    np.testing.assert_allclose(got, np.concatenate([(goal - block) / 0.05, (goal + block - grip) / 0.2]), atol=1e-4)


def test_a_feature_of_something_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="'moon_x'"):
        RelativeFeatures((RelativeFeature(plus=("moon",), minus=("grip",), scale_m=0.1),), _values())
