"""Actors that others trained become bundles, or are refused with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from torch import nn

import fetch_sim2real.envs
from fetch_sim2real.errors import BundleError
from fetch_sim2real.observation.observe import Observation
from fetch_sim2real.observation.preprocess import Image
from fetch_sim2real.policy.bundle import load_bundle
from fetch_sim2real.policy.runner import Policy
from fetch_training.imported import shown
from fetch_training.learning_task import LEARNING_TASKS
from fetch_training.plain_actor import AffineMap, affine_map, plain_actor

sb3 = pytest.importorskip("stable_baselines3")
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor  # noqa: E402

from fetch_training.import_policy import ALGORITHMS, import_trained  # noqa: E402

SPEC = LEARNING_TASKS["reach"].observation_spec(proprioception=True)
SIZE = SPEC.vector_size


class WayToGoal(BaseFeaturesExtractor):
    def __init__(self, space: Any) -> None:
        super().__init__(space, space["observation"].shape[0] + 3)

    def forward(self, seen: dict[str, torch.Tensor]) -> torch.Tensor:
        way = (seen["desired_goal"] - seen["achieved_goal"]) / 0.1
        return torch.cat([seen["observation"], way], dim=-1)


class Squares(WayToGoal):
    def forward(self, seen: dict[str, torch.Tensor]) -> torch.Tensor:
        return super().forward(seen) ** 2


def environment(mode: str = "robot") -> gymnasium.Env[Any, Any]:
    return gymnasium.make(fetch_sim2real.envs.environment_id("reach"), world="nominal", observation_mode=mode)


def untrained(algorithm: str, env: gymnasium.Env[Any, Any], **policy: Any) -> Any:
    # Off-policy buffers would hold a million steps.
    buffer = {} if ALGORITHMS[algorithm][1] == "clip" else {"buffer_size": 10}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = getattr(sb3, algorithm)("MultiInputPolicy", env, policy_kwargs=policy, device="cpu", seed=1, **buffer)
        with torch.no_grad():
            for parameter in model.policy.parameters():
                parameter.mul_(1.5)
    return model


@pytest.mark.parametrize(
    ("algorithm", "policy"),
    [
        ("SAC", {"features_extractor_class": WayToGoal}),
        ("SAC", {"net_arch": [32, 16, 8]}),
        ("TD3", {"net_arch": [32, 16], "features_extractor_class": WayToGoal}),
        ("PPO", {"net_arch": [32, 16]}),
        ("PPO", {"net_arch": [32], "activation_fn": nn.ELU}),
    ],
)
def test_a_bundle_acts_as_the_library_does(algorithm: str, policy: dict[str, Any], tmp_path: Path) -> None:
    env = environment()
    model = untrained(algorithm, env, **policy)
    import_trained(tmp_path / "policy", model, "reach", "nominal", "test", 1)
    bundle = load_bundle(tmp_path / "policy")
    assert {p.name for p in (tmp_path / "policy").iterdir()} == {"manifest.json", "actor.safetensors", "golden.npz"}
    assert bundle.manifest.actor.conv == () and bundle.manifest.task == "reach"
    runner = Policy(bundle)
    goal = np.array([(v.centre, v.scale) for v in SPEC.vector[:3]]).T
    blank = Image(np.zeros((84, 84, 3), np.uint8), np.zeros((84, 84), np.uint16))
    seen, _ = env.reset(seed=5)
    for _ in range(20):
        expected = model.predict(seen, deterministic=True)[0]
        vector = np.concatenate([(seen["desired_goal"] - goal[0]) / goal[1], seen["observation"]]).astype(np.float32)
        np.testing.assert_allclose(runner.act(Observation(blank, vector)), expected, atol=1e-5)
        seen = env.step(expected)[0]
    np.testing.assert_allclose(runner.last_actions, seen["observation"][4:].reshape(3, 4), atol=1e-5)
    env.close()


def test_what_a_robot_does_not_have_is_refused(tmp_path: Path) -> None:
    env = environment("state")
    with pytest.raises(BundleError, match="observation_mode='robot'"):
        import_trained(tmp_path, untrained("PPO", env), "reach", "nominal", "test", 1)
    env.close()


def test_features_that_cannot_be_folded_are_refused(tmp_path: Path) -> None:
    env = environment()
    model = untrained("PPO", env, features_extractor_class=Squares)
    with pytest.raises(BundleError, match="no affine function"):
        import_trained(tmp_path / "policy", model, "reach", "nominal", "test", 1)
    assert not (tmp_path / "policy").exists()
    env.close()


def test_affine_features_are_found_exactly() -> None:
    matrix, offset = torch.rand(5, SIZE).double(), torch.rand(5).double()
    found = affine_map(lambda vector: vector @ matrix.T + offset, SIZE)
    np.testing.assert_allclose(found.matrix, matrix.numpy(), atol=1e-12)
    np.testing.assert_allclose(found.offset, offset.numpy(), atol=1e-12)


def test_the_environment_s_observation_belongs_to_the_vector() -> None:
    vector = torch.rand(2, SIZE).double()
    seen = shown(vector, SPEC)
    goal = torch.tensor([(v.centre, v.scale) for v in SPEC.vector[:3]]).double().T
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
