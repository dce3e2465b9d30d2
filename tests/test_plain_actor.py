"""Plain torch layers become actors of the bundle format that compute the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from fetch_sim2real.errors import BundleError
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.training.imported import shown
from fetch_sim2real.training.plain_actor import AffineMap, affine_map, plain_actor
from fetch_sim2real.training.specs import task_observation_spec

SPEC = task_observation_spec(find_task("reach"), proprioception=True)
SIZE = SPEC.vector_size


def test_affine_features_are_found_exactly() -> None:
    matrix, offset = torch.rand(5, SIZE).double(), torch.rand(5).double()
    found = affine_map(lambda vector: vector @ matrix.T + offset, SIZE)
    np.testing.assert_allclose(found.matrix, matrix.numpy(), atol=1e-12)
    np.testing.assert_allclose(found.offset, offset.numpy(), atol=1e-12)


def test_the_environment_s_observation_belongs_to_the_vector() -> None:
    vector = torch.rand(2, SIZE).double()
    seen = shown(vector, SPEC)
    goal = torch.tensor([(v.centre, v.scale) for v in SPEC.vector[:3]], dtype=torch.float64).T
    torch.testing.assert_close((seen["desired_goal"] - goal[0]) / goal[1], vector[:, :3])
    torch.testing.assert_close(seen["observation"], vector[:, 3:])


@pytest.mark.parametrize(
    ("layers", "field"),
    [
        ([nn.Linear(SIZE, 8), nn.SiLU(), nn.Linear(8, 4)], "actor.activation"),
        ([nn.Linear(SIZE, 8), nn.ReLU(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 4)], "actor.activation"),
        ([nn.Linear(SIZE, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 4)], "actor.hidden"),
        ([nn.Linear(SIZE, 8), nn.ReLU(), nn.Linear(8, 3)], "actor"),
        ([nn.Linear(SIZE + 1, 8), nn.ReLU(), nn.Linear(8, 4)], "actor"),
    ],
)
def test_layers_that_are_no_plain_network_are_refused(layers: list[nn.Module], field: str) -> None:
    with pytest.raises(BundleError) as refused:
        plain_actor(layers, "tanh", SPEC, AffineMap.identity(SIZE))
    assert refused.value.field == field


def test_any_plain_torch_module_computes_the_same_as_an_actor() -> None:
    layers = nn.Sequential(
        nn.Linear(SIZE, 16), nn.LayerNorm(16), nn.ELU(), nn.Linear(16, 8, bias=False), nn.LayerNorm(8), nn.ELU(),
        nn.Linear(8, 4),
    )  # fmt: skip
    actor = plain_actor([*layers], "clip", SPEC, AffineMap.identity(SIZE))
    vector = torch.rand(7, SIZE) * 4 - 2
    nothing = torch.zeros(7, 84, 84, 3, dtype=torch.uint8), torch.zeros(7, 84, 84)
    with torch.inference_mode():
        expected = layers(vector).clamp(-1, 1)
        torch.testing.assert_close(actor(*nothing, vector, actor.initial_state(7)).action, expected)
