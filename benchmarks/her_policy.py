"""Our learner's inputs and networks, as far as Stable-Baselines3 takes them, for sb3-contrib's TQC."""

from __future__ import annotations

from typing import Any

import torch
from gymnasium import spaces
from sb3_contrib.tqc.policies import MultiInputPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.training.actor_critic import LearnerSettings
from fetch_sim2real.training.learn import LoopSettings
from fetch_sim2real.training.replay import ReplaySettings

_UNIT_M = 0.1
# Gradient steps come in groups, so that ratios other than one are possible.
_GROUP_STEPS = 50


class Relations(BaseFeaturesExtractor):
    """The state with the way from gripper to object (which the environment gives), the goal, and the way to it."""

    def __init__(self, observation_space: spaces.Dict) -> None:
        shape = observation_space["observation"].shape
        assert shape is not None
        super().__init__(observation_space, shape[0] + 6)
        self.register_buffer("_centre", torch.tensor(find_task("push").goal_centre_m), persistent=False)

    def forward(self, observations: dict[str, torch.Tensor]) -> torch.Tensor:
        goal, achieved = observations["desired_goal"], observations["achieved_goal"]
        ways = [(goal - self._centre) / _UNIT_M, (achieved - goal) / _UNIT_M]
        return torch.cat([observations["observation"], *ways], dim=-1)


class NormedReLU(nn.Module):
    """Layer normalization and ReLU. Without scale and shift: activations are not told how wide their layer is."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(nn.functional.layer_norm(x, x.shape[-1:]))


class RelationalPolicy(MultiInputPolicy):
    """Actor 256 x 256, critics 256 x 256 x 256, both normalized, on ``Relations``."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        hidden = LearnerSettings().critic_hidden
        options |= {
            "net_arch": {"pi": [256, 256], "qf": [hidden] * 3},
            "activation_fn": NormedReLU,
            "features_extractor_class": Relations,
        }
        super().__init__(*arguments, **options)


def same_settings() -> dict[str, Any]:
    """TQC's arguments that say what our learner's settings say."""
    learner, loop, replay = LearnerSettings(), LoopSettings(), ReplaySettings()
    return {
        "batch_size": loop.batch,
        "learning_starts": loop.warm_up_steps,
        "gamma": learner.gamma,
        "tau": learner.tau,
        "learning_rate": learner.learning_rate,
        "ent_coef": f"auto_{learner.initial_alpha}",
        "target_entropy": learner.target_entropy,
        "train_freq": _GROUP_STEPS,
        "gradient_steps": round(_GROUP_STEPS * loop.updates_per_step),
        "replay_buffer_kwargs": {
            "goal_selection_strategy": replay.strategy,
            # Hindsight goals for every true one.
            "n_sampled_goal": round(replay.hindsight_share / (1.0 - replay.hindsight_share)),
        },
    }
