"""Baselines that look now and then: what they keep, and what they predict between."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from fetch_sim2real.errors import BundleError
from fetch_sim2real.paths import find_policy
from fetch_sim2real.perception.observe import Observation
from fetch_sim2real.perception.preprocess import Image
from fetch_sim2real.policy.bundle import PolicyBundle, load_bundle
from fetch_sim2real.policy.open_loop import NowAndThen, carried
from fetch_sim2real.policy.runner import Policy


@pytest.fixture(scope="module")
def push() -> PolicyBundle:
    return load_bundle(find_policy("push"))


def looked(bundle: PolicyBundle, seen_m: list[float]) -> Callable[[], torch.Tensor]:
    """An encoder that sees object and gripper (6,) there."""
    return lambda: bundle.actor.normalize_auxiliary(torch.tensor([seen_m]))


def vector(bundle: PolicyBundle, grip_m: list[float], finger_m: float = 0.0) -> torch.Tensor:
    known = dict(zip(("grip_x", "grip_y", "grip_z"), grip_m, strict=True)) | {"finger": finger_m}
    spec = bundle.manifest.observation.vector
    return torch.tensor([[(known.get(v.name, v.centre) - v.centre) / v.scale for v in spec]], dtype=torch.float32)


def test_the_object_stays_where_it_was_seen_and_the_gripper_goes_on(push: PolicyBundle) -> None:
    seeing = NowAndThen(push.actor, None)
    seeing.see(looked(push, [0.65, 0.1, 0.745, 0.55, 0.0, 0.9]), vector(push, [0.56, 0.0, 0.9]))
    out = seeing.see(looked(push, [0.0] * 6), vector(push, [0.58, 0.01, 0.88]))
    assert push.actor.auxiliary(out)[0].tolist() == pytest.approx([0.65, 0.1, 0.745, 0.57, 0.01, 0.88], abs=1e-5)


def test_it_looks_again_when_it_is_time_and_after_a_reset(push: PolicyBundle) -> None:
    looks: list[int] = []

    def encode() -> torch.Tensor:
        looks.append(len(looks))
        return looked(push, [0.65, 0.1, 0.745, 0.55, 0.0, 0.9])()

    seeing = NowAndThen(push.actor, 30)
    for _ in range(61):
        seeing.see(encode, vector(push, [0.56, 0.0, 0.9]))
    assert len(looks) == 3
    seeing.reset()
    seeing.see(encode, vector(push, [0.56, 0.0, 0.9]))
    assert len(looks) == 4


def test_closed_fingers_push_the_object_ahead() -> None:
    grip, here = np.array([0.60, 0.0, 0.757]), np.array([0.63, 0.0, 0.745])
    pushed = carried(here, grip, np.array([0.01, 0.0, 0.0]), 0.0, True)
    assert pushed == pytest.approx([0.644, 0.0, 0.745])
    above = np.array([0.60, 0.0, 0.80])
    assert np.array_equal(carried(here, above, np.zeros(3), 0.0, True), here)
    assert np.array_equal(carried(here, grip, np.zeros(3), 0.045, True), here)  # open fingers go around it


def test_fingers_that_have_stopped_on_it_carry_the_object() -> None:
    grip, here, far = (np.array([0.63, y, z]) for y, z in ((0.0, 0.76), (0.01, 0.745), (0.21, 0.745)))
    up = np.array([0.0, 0.0, 0.02])
    assert carried(here, grip, up, 0.020, True) == pytest.approx(here + up)
    assert np.array_equal(carried(here, grip, up, 0.020, False), here)  # still closing
    assert np.array_equal(carried(far, grip, up, 0.020, True), far)


def test_the_first_action_is_the_actors_own(push: PolicyBundle) -> None:
    rng, spec = np.random.default_rng(0), push.manifest.observation
    image = Image(
        rng.integers(0, 255, (84, 84, 3), dtype=np.uint8), rng.integers(500, 1800, (84, 84)).astype(np.uint16)
    )
    observation = Observation(image, rng.standard_normal(spec.vector_size).astype(np.float32))
    assert np.array_equal(Policy(push).act(observation), Policy(push, "once").act(observation))


def test_an_actor_that_names_nothing_is_refused(tmp_path: object) -> None:
    graph_harness = pytest.importorskip("benchmarks.rig.graph_harness")
    bundle = graph_harness.write_untrained_bundle(tmp_path)
    with pytest.raises(BundleError, match="seen_object_x"):
        Policy(bundle, "once")
