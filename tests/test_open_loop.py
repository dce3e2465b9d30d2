"""Open-loop baselines: what they keep, and what they predict between."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fetch_sim2real.errors import BundleError
from fetch_sim2real.evaluation.open_loop import OpenLoopPolicy, carried, policy_at
from fetch_sim2real.paths import find_policy
from fetch_sim2real.perception.observe import Observation
from fetch_sim2real.perception.preprocess import Image
from fetch_sim2real.policy.bundle import PolicyBundle, load_bundle
from fetch_sim2real.policy.network import MemorySpec, build_actor
from fetch_sim2real.policy.runtime import ActorPolicy
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.training.specs import task_actor_spec, task_observation_spec
from fetch_sim2real.training.state_estimator import RareLooks, seen_rarely


@pytest.fixture(scope="module")
def push() -> PolicyBundle:
    return load_bundle(find_policy("push"))


def observation(bundle: PolicyBundle, grip_m: list[float], finger_m: float = 0.0) -> Observation:
    known = dict(zip(("grip_x", "grip_y", "grip_z"), grip_m, strict=True)) | {"finger": finger_m}
    spec = bundle.manifest.observation
    vector = np.array([(known.get(v.name, v.centre) - v.centre) / v.scale for v in spec.vector], np.float32)
    shape = (spec.image.size, spec.image.size)
    return Observation(Image(np.zeros((*shape, 3), np.uint8), np.zeros(shape, np.uint16)), vector)


class Predictions:
    """In the place of the actor's encoder and head: sees the same each time, counts, and keeps what the head gets."""

    def __init__(self, bundle: PolicyBundle, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self._bundle, self._act = bundle, bundle.actor.act
        monkeypatch.setattr(bundle.actor, "encode", self._encode)
        monkeypatch.setattr(bundle.actor, "act", self._acted)

    def _encode(self, rgb: torch.Tensor, depth_mm: torch.Tensor) -> torch.Tensor:
        self.count += 1
        positions = self._bundle.actor.normalize_auxiliary(torch.tensor([[0.65, 0.1, 0.745, 0.55, 0.0, 0.9]]))
        told = torch.zeros(1, self._bundle.actor.spec.bottleneck_size - positions.shape[1])
        return torch.cat([positions, told], dim=1)

    def _acted(self, bottleneck: torch.Tensor, *rest: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.seen_m = self._bundle.actor.auxiliary(bottleneck).tolist()
        return self._act(bottleneck, *rest)


@pytest.fixture
def predictions(push: PolicyBundle, monkeypatch: pytest.MonkeyPatch) -> Predictions:
    return Predictions(push, monkeypatch)


def test_the_object_stays_where_seen_and_the_gripper_goes_on(push: PolicyBundle, predictions: Predictions) -> None:
    policy = OpenLoopPolicy(push, "once")
    policy.act([observation(push, [0.56, 0.0, 0.9])])
    policy.act([observation(push, [0.58, 0.01, 0.88])])
    assert predictions.count == 1
    assert predictions.seen_m[0] == pytest.approx([0.65, 0.1, 0.745, 0.57, 0.01, 0.88], abs=1e-5)


def test_it_looks_again_when_it_is_time_and_after_a_reset(push: PolicyBundle, predictions: Predictions) -> None:
    policy = OpenLoopPolicy(push, "each-second")
    for _ in range(61):
        policy.act([observation(push, [0.56, 0.0, 0.9])])
    assert predictions.count == 3
    policy.reset()
    policy.act([observation(push, [0.56, 0.0, 0.9])])
    assert predictions.count == 4


def test_a_rate_is_how_often_it_looks(push: PolicyBundle, predictions: Predictions) -> None:
    for look, looks in (("every-frame", 60), ("10-hz", 20), ("3-hz", 6), ("each-second", 2), ("once", 1)):
        predictions.count = 0
        policy = OpenLoopPolicy(push, look)  # type: ignore[arg-type]  # all of them
        for _ in range(60):
            policy.act([observation(push, [0.56, 0.0, 0.9])])
        assert predictions.count == looks, look


def test_one_that_holds_repeats_its_last_action_between_looks(push: PolicyBundle, predictions: Predictions) -> None:
    policy = OpenLoopPolicy(push, "10-hz", "hold")
    actions = [policy.act([observation(push, [0.56, 0.01 * step, 0.9])])[0] for step in range(5)]
    assert np.array_equal(actions[0], actions[1]) and np.array_equal(actions[0], actions[2])
    assert not np.array_equal(actions[0], actions[3]) and np.array_equal(actions[3], actions[4])


def test_one_that_remembers_goes_by_what_it_saw_and_knows_that_it_is_old() -> None:
    task = find_task("push")
    actor = build_actor(task_actor_spec(task, True, MemorySpec(kind="gru", size=4)), task_observation_spec(task, True))
    seen = torch.rand(6, actor.spec.bottleneck_size)
    rarely = seen_rarely(actor, seen, "10-hz")
    positions = len(actor.spec.auxiliary)
    for frame, look in enumerate((0, 0, 0, 3, 3, 3)):
        assert torch.equal(rarely[frame, :positions], seen[look, :positions])
    (column,) = (i for i, value in enumerate(actor.spec.bottleneck) if value.name == "seen_object_seen")
    assert rarely[[0, 3], column].tolist() == seen[[0, 3], column].tolist()
    assert rarely[[1, 2, 4, 5], column].tolist() == [-1.0] * 4


def test_what_is_seen_rarely_is_the_same_frame_by_frame_and_afterwards() -> None:
    task = find_task("push")
    actor = build_actor(task_actor_spec(task, True, MemorySpec(kind="gru", size=4)), task_observation_spec(task, True))
    seen = torch.rand(70, actor.spec.bottleneck_size)
    for look in ("every-frame", "10-hz", "3-hz", "each-second", "once"):
        rare = RareLooks(_Row(seen), actor, look)  # type: ignore[arg-type]  # all of them
        rare.start(np.random.default_rng(0))
        one_by_one = torch.cat([rare.estimate(None, None) for _ in range(70)])  # type: ignore[arg-type]  # not looked at
        assert torch.equal(one_by_one, seen_rarely(actor, seen, look)), look  # type: ignore[arg-type]


class _Row:
    """An estimator that says one row after the other."""

    def __init__(self, rows: torch.Tensor) -> None:
        self._rows = rows

    def start(self, rng: np.random.Generator) -> None:
        self._next = iter(self._rows)

    def estimate(self, captured: object, sim: object) -> torch.Tensor:
        return next(self._next)[None]


def test_each_environment_has_its_own_looks(push: PolicyBundle, predictions: Predictions) -> None:
    policy = OpenLoopPolicy(push, "once", environments=2)
    here, there = observation(push, [0.56, 0.0, 0.9]), observation(push, [0.58, 0.01, 0.88])
    policy.act([here, here])
    policy.act([there], [1])
    policy.reset([0])
    policy.act([there, there])
    assert predictions.count == 3, "one for each at first, one after the reset"
    assert predictions.seen_m[0] == pytest.approx([0.65, 0.1, 0.745, 0.55, 0.0, 0.9], abs=1e-5)
    assert predictions.seen_m[1] == pytest.approx([0.65, 0.1, 0.745, 0.57, 0.01, 0.88], abs=1e-5)


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
    shape = (spec.image.size, spec.image.size)
    depth_mm = rng.integers(500, 1800, shape).astype(np.uint16)
    image = Image(rng.integers(0, 255, (*shape, 3), dtype=np.uint8), depth_mm)
    first = [Observation(image, rng.standard_normal(spec.vector_size).astype(np.float32))]
    assert np.array_equal(ActorPolicy(push).act(first), policy_at(push, "once").act(first))


def test_an_actor_that_names_nothing_is_refused(tmp_path: object) -> None:
    graph_harness = pytest.importorskip("benchmarks.rig.graph_harness")
    bundle = graph_harness.write_untrained_bundle(tmp_path)
    with pytest.raises(BundleError, match="seen_object_x"):
        policy_at(bundle, "once")
