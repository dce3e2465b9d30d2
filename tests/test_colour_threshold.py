"""The baseline that takes the largest red patch for the object."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.evaluation.colour_threshold import ColourThreshold
from fetch_sim2real.evaluation.measure import Case, measure
from fetch_sim2real.paths import find_policy, worlds_dir
from fetch_sim2real.perception.camera import Pose
from fetch_sim2real.perception.observe import Observation
from fetch_sim2real.perception.preprocess import Image
from fetch_sim2real.policy.bundle import PolicyBundle, load_bundle
from fetch_sim2real.sim.world_file import load_world

GRIP_M = (0.56, -0.05, 0.88)


@pytest.fixture(scope="module")
def push() -> PolicyBundle:
    return load_bundle(find_policy("push"))


def observation(bundle: PolicyBundle, patches: dict[tuple[int, int], int]) -> Observation:
    """Red squares: middle (u, v) and half their side, all a metre away on a grey table."""
    rgb, depth_mm = np.full((84, 84, 3), 120, np.uint8), np.full((84, 84), 1_000, np.uint16)
    for (u, v), half in patches.items():
        rgb[v - half : v + half + 1, u - half : u + half + 1] = (190, 20, 25)
    known = dict(zip(("grip_x", "grip_y", "grip_z"), GRIP_M, strict=True))
    vector = [(known.get(v.name, v.centre) - v.centre) / v.scale for v in bundle.manifest.observation.vector]
    return Observation(Image(rgb, depth_mm), np.array(vector, np.float32))


def estimate(
    bundle: PolicyBundle, threshold: ColourThreshold, *patches: dict[tuple[int, int], int]
) -> list[list[float]]:
    seen = threshold.estimate([observation(bundle, each) for each in patches], range(len(patches)))
    return bundle.actor.auxiliary(seen).tolist()


def place_m(bundle: PolicyBundle, u: int, v: int) -> np.ndarray:
    pose = bundle.manifest.camera.base_T_camera
    camera = bundle.manifest.observation.image.camera()
    surface_m = camera.deproject(np.array([u, v]), 1.0)
    inwards_m = surface_m * (1.0 + 0.02 / np.linalg.norm(surface_m))
    return Pose.from_quaternion(pose.position_m, pose.quaternion_xyzw).apply(inwards_m)


def test_the_largest_red_patch_is_the_object_and_the_gripper_is_where_the_joints_say(push: PolicyBundle) -> None:
    threshold = ColourThreshold(push, 2)
    first, second = estimate(push, threshold, {(30, 50): 3, (60, 20): 1}, {(50, 40): 2})
    assert first == pytest.approx([*place_m(push, 30, 50), *GRIP_M], abs=1e-4)
    assert second == pytest.approx([*place_m(push, 50, 40), *GRIP_M], abs=1e-4)


def test_a_hidden_object_is_where_it_was_seen_last_until_the_next_episode(push: PolicyBundle) -> None:
    threshold = ColourThreshold(push, 2)
    before = estimate(push, threshold, {(30, 50): 3}, {(50, 40): 2})
    assert estimate(push, threshold, {}, {}) == before
    threshold.reset([1])
    first, second = estimate(push, threshold, {}, {})
    assert first == before[0]
    assert second[:3] == pytest.approx([0.63, 0.0, 0.745], abs=1e-6)


def test_it_pushes_the_block(push: PolicyBundle) -> None:
    case = Case(load_world("nominal", worlds_dir()), "colour-threshold")
    assert [outcome.success for outcome in measure(push, case, [1, 2], environments=2)] == [True, True]


def test_it_needs_a_gripper_that_the_joints_tell_of(push: PolicyBundle) -> None:
    spec = push.manifest.observation.model_copy(update={"proprioception": False})
    manifest = push.manifest.model_copy(update={"observation": spec})
    with pytest.raises(FetchSim2RealError, match=r"proprioception: False\. Choose another control"):
        ColourThreshold(replace(push, manifest=manifest), 1)
