"""Bundles from actors that were trained with other libraries in this project's environments, mode ``robot``.

The golden actions are the library's own: a bundle that computes anything else is not written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fetch_sim2real.envs.environment import FetchEnvironment
from fetch_sim2real.errors import BundleError
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.perception.observe import ObservationSpec
from fetch_sim2real.policy.bundle import PolicyBundle, save_bundle
from fetch_sim2real.policy.golden import Golden
from fetch_sim2real.policy.network import Actor, Squash
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.training.export import manifest_of
from fetch_sim2real.training.plain_actor import affine_map, plain_actor
from fetch_sim2real.training.specs import task_observation_spec

MODE: Final = "robot"
Predict = Callable[[Mapping[str, NDArray[np.float32]]], NDArray[np.float32]]
"""The action (4,) in [-1, 1] that the library computes for one observation of the environment."""

_GOAL, _GRIP = slice(0, 3), slice(3, 6)
_GOLDEN_EPISODES, _GOLDEN_STEPS = 2, 12
# Training's own seeds, so that no episode of an evaluation is in a bundle.
_FIRST_SEED: Final = 1_900_000_000


def import_bundle(
    output: Path,
    layers: list[nn.Module],
    squash: Squash,
    features: Callable[[dict[str, torch.Tensor]], torch.Tensor],
    predict: Predict,
    task: str,
    world: str,
    provenance: tuple[str, int, int],
) -> PolicyBundle:
    """Write the bundle of an actor that computes squash(layers(features(observation))).

    ``features`` takes the environment's observation as float64 tensors (B, n) by name and must be an affine function
    of it; ``predict`` is the trained actor itself, for the golden actions. ``provenance``: command, seed, steps.
    BundleError says what does not fit.
    """
    if find_task(task).objects:
        raise BundleError(
            "task", f"is '{task}', expected one without objects, such as reach: objects are only seen in pictures"
        )
    observation = task_observation_spec(find_task(task), proprioception=True)
    inputs = affine_map(lambda vector: features(shown(vector, observation)), observation.vector_size)
    actor = plain_actor(layers, squash, observation, inputs)
    env = FetchEnvironment(task, world, MODE)
    try:
        golden = _golden(env, actor, predict)
    finally:
        env.close()
    command, seed, steps = provenance
    content = manifest_of(actor, load_world(world, worlds_dir()), find_task(task), seed, command, steps)
    return save_bundle(output, content, actor, golden)


def shown(vector: torch.Tensor, spec: ObservationSpec) -> dict[str, torch.Tensor]:
    """Return the environment's observation, mode ``robot``, that belongs to bundle vectors (B, n)."""
    centre = vector.new_tensor([value.centre for value in spec.vector])
    scale = vector.new_tensor([value.scale for value in spec.vector])
    raw = vector * scale + centre
    return {
        "achieved_goal": raw[:, _GRIP],
        "desired_goal": raw[:, _GOAL],
        "observation": vector[:, _GOAL.stop :],
    }


def require_mode(space: gymnasium.Space[Any], task: str, world: str) -> None:
    """Raise BundleError unless ``space`` is that of the environments' mode ``robot``."""
    env = FetchEnvironment(task, world, MODE)
    expected = env.observation_space
    env.close()
    if space != expected:
        raise BundleError(
            "observation",
            f"the policy was trained on {space}, expected that of observation_mode='{MODE}': a robot has nothing else",
        )


def _golden(env: FetchEnvironment, actor: Actor, predict: Predict) -> Golden:
    spec = actor.observation
    goal = spec.vector[_GOAL]
    centre, scale = np.array([value.centre for value in goal]), np.array([value.scale for value in goal])
    vectors, actions, reset = [], [], []
    for episode in range(_GOLDEN_EPISODES):
        seen, _ = env.reset(seed=_FIRST_SEED + episode)
        for step in range(_GOLDEN_STEPS):
            action = np.asarray(predict(seen), np.float32)
            vectors.append(np.concatenate([(seen["desired_goal"] - centre) / scale, seen["observation"]]))
            actions.append(action)
            reset.append(step == 0)
            seen = env.step(action)[0]
    side = spec.image.size
    return Golden(
        # Black: what is not seen needs no example.
        rgb=np.zeros((len(reset), side, side, 3), np.uint8),
        depth_mm=np.zeros((len(reset), side, side), np.uint16),
        vector=np.array(vectors, np.float32),
        reset=np.array(reset, np.bool_),
        action=np.array(actions, np.float32),
        state=np.zeros((len(reset), 0), np.float32),
    )
