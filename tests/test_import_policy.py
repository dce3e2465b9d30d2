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
from fetch_sim2real.perception.observe import Observation
from fetch_sim2real.perception.preprocess import Image
from fetch_sim2real.policy.bundle import load_bundle
from fetch_sim2real.policy.default_observation import IMAGE
from fetch_sim2real.policy.runtime import ActorPolicy
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.training.specs import task_observation_spec

sb3 = pytest.importorskip("stable_baselines3")
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor  # noqa: E402

from fetch_sim2real.cli.import_policy import ALGORITHMS, import_trained  # noqa: E402

SPEC = task_observation_spec(find_task("reach"), proprioception=True)


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
    policy = ActorPolicy(bundle)
    goal = np.array([(v.centre, v.scale) for v in SPEC.vector[:3]]).T
    shape = (IMAGE.size, IMAGE.size)
    blank = Image(np.zeros((*shape, 3), np.uint8), np.zeros(shape, np.uint16))
    seen, _ = env.reset(seed=5)
    for _ in range(20):
        expected = model.predict(seen, deterministic=True)[0]
        vector = np.concatenate([(seen["desired_goal"] - goal[0]) / goal[1], seen["observation"]]).astype(np.float32)
        np.testing.assert_allclose(policy.act([Observation(blank, vector)])[0], expected, atol=1e-5)
        seen = env.step(expected)[0]
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
