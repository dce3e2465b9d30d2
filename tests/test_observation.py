"""The observation vector holds what its names say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from fetch_sim2real.errors import ObservationError
from fetch_sim2real.perception.camera import CameraModel
from fetch_sim2real.perception.observe import (
    MAX_JOINT_SKEW_NS,
    ActionHistory,
    Observation,
    ObservationSpec,
    make_observation_spec,
    observation_vector,
    observe,
    vector_names,
)
from fetch_sim2real.perception.preprocess import ImageSpec, preprocess
from fetch_sim2real.types import JointSample, RgbdFrame

IMAGE = ImageSpec(size=84, fov_deg=40.0, depth_near_m=0.4, depth_far_m=1.6, channels="rgbd")
CAMERA = CameraModel.from_fovy(168, 168, np.deg2rad(40.0))
RNG = np.random.default_rng(5)
FRAME = RgbdFrame(
    1_000_000_000,
    RNG.integers(0, 256, (168, 168, 3), dtype=np.uint8),
    RNG.integers(0, 3000, (168, 168)).astype(np.uint16),
)
JOINTS = JointSample(1_004_000_000, np.linspace(-0.3, 0.3, 7), np.zeros(7), 0.05)
COMMANDED_RAD = JOINTS.position + 0.01
GOAL = np.array([0.8, 0.1, 0.7])
ACTIONS = np.array([[0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8]])


def make_spec(proprioception: bool = True, last_actions: int = 2) -> ObservationSpec:
    return make_observation_spec(
        IMAGE,
        proprioception=proprioception,
        commanded=proprioception,
        last_actions=last_actions,
        goal_centre_m=(0.7, 0.0, 0.7),
        goal_scale_m=(0.2, 0.5, 0.1),
        grip_centre_m=(0.7, 0.0, 0.8),
        grip_scale_m=(0.1, 0.2, 0.3),
    )


def grip_of(position: np.ndarray) -> np.ndarray:
    return np.array([0.7 + position[0], position[6], 0.8])


def see(spec: ObservationSpec, **changes: object) -> Observation:
    arguments: dict[str, object] = {
        "frame": FRAME, "camera": CAMERA, "joints": JOINTS, "commanded_rad": COMMANDED_RAD, "goal_m": GOAL,
        "last_actions": ACTIONS[: spec.last_actions], "grip_position": grip_of,
    }  # fmt: skip
    return observe(spec, **{**arguments, **changes})  # type: ignore[arg-type]


def raw_values(spec: ObservationSpec, vector: np.ndarray) -> dict[str, float]:
    """Names and values in units, by the manifest's centre and scale alone."""
    return {item.name: value * item.scale + item.centre for item, value in zip(spec.vector, vector, strict=True)}


def test_every_name_carries_its_value() -> None:
    spec = make_spec()
    observation = see(spec)
    assert observation.vector.dtype == np.float32
    expected = {
        "goal_x": 0.8, "goal_y": 0.1, "goal_z": 0.7, "grip_x": 0.4, "grip_y": 0.3, "grip_z": 0.8, "finger": 0.05,
        "commanded_x": 0.41, "commanded_y": 0.31, "commanded_z": 0.8,
        "action_1_x": 0.1, "action_1_y": 0.2, "action_1_z": 0.3, "action_1_g": 0.4,
        "action_2_x": 0.5, "action_2_y": 0.6, "action_2_z": 0.7, "action_2_g": 0.8,
    }  # fmt: skip
    assert raw_values(spec, observation.vector) == pytest.approx(expected, abs=1e-6)
    assert list(vector_names(spec)) == list(expected)


def test_values_are_centred_and_scaled() -> None:
    vector = dict(zip(vector_names(make_spec()), see(make_spec()).vector, strict=True))
    assert vector["goal_x"] == pytest.approx(0.5, abs=1e-6)
    assert vector["grip_x"] == pytest.approx(-3.0, abs=1e-6)
    assert vector["finger"] == pytest.approx(1.0)
    assert vector["action_2_g"] == pytest.approx(0.8)


def test_image_is_the_preprocessed_frame() -> None:
    image = preprocess(FRAME, CAMERA, IMAGE)
    np.testing.assert_array_equal(see(make_spec()).image.rgb, image.rgb)
    np.testing.assert_array_equal(see(make_spec()).image.depth_mm, image.depth_mm)


def test_without_proprioception_the_joints_do_not_matter() -> None:
    spec = make_spec(proprioception=False, last_actions=0)
    assert vector_names(spec) == ("goal_x", "goal_y", "goal_z")
    stale = replace(JOINTS, stamp_ns=0, position=np.full(7, np.nan))
    np.testing.assert_array_equal(see(spec).vector, see(spec, joints=stale).vector)


def test_what_is_commanded_matters_only_to_those_who_are_told() -> None:
    elsewhere, told = COMMANDED_RAD + 0.1, make_spec()
    changed = {n: v for n, v in raw_values(told, see(told, commanded_rad=elsewhere).vector).items() if "commanded" in n}
    assert changed == pytest.approx({"commanded_x": 0.51, "commanded_y": 0.41, "commanded_z": 0.8}, abs=1e-6)
    blind = make_spec(proprioception=False)
    np.testing.assert_array_equal(see(blind).vector, see(blind, commanded_rad=elsewhere).vector)


def test_batches_give_the_same_vectors_as_single_steps() -> None:
    spec = make_spec()
    goals, grips = RNG.normal(size=(5, 3)), RNG.normal(size=(5, 3))
    fingers, commanded, actions = RNG.uniform(0, 0.05, 5), RNG.normal(size=(5, 3)), RNG.normal(size=(5, 2, 4))
    batch = observation_vector(spec, goals, grips, fingers, commanded, actions)
    assert batch.shape == (5, spec.vector_size)
    for i in range(5):
        one = observation_vector(spec, goals[i], grips[i], fingers[i], commanded[i], actions[i])
        np.testing.assert_array_equal(one, batch[i])


@pytest.mark.parametrize("sign", [-1, 1])
def test_joints_of_another_moment_are_refused(sign: int) -> None:
    see(make_spec(), joints=replace(JOINTS, stamp_ns=FRAME.stamp_ns + sign * MAX_JOINT_SKEW_NS))
    late = replace(JOINTS, stamp_ns=FRAME.stamp_ns + sign * (MAX_JOINT_SKEW_NS + 1_000_000))
    with pytest.raises(ObservationError, match=r"17\.7 ms from its frame, expected at most 16\.7 ms"):
        see(make_spec(), joints=late)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"goal_m": np.array([0.8, np.nan, 0.7])}, "goal_y"),
        ({"joints": replace(JOINTS, finger_position_m=float("inf"))}, "finger"),
        ({"joints": replace(JOINTS, position=np.full(7, np.nan))}, "grip_x, grip_y"),
        ({"commanded_rad": np.full(7, np.nan)}, "commanded_x, commanded_y"),
        ({"last_actions": np.full((2, 4), np.nan)}, "action_1_x"),
    ],
)
def test_non_finite_inputs_are_refused_by_name(changes: dict[str, object], name: str) -> None:
    with pytest.raises(ObservationError, match=name):
        see(make_spec(), **changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"goal_m": np.zeros(2)}, r"goal has shape \(2,\), expected \(3,\)"),
        ({"last_actions": np.zeros((3, 4))}, r"last actions has shape \(3, 4\), expected \(2, 4\)"),
        ({"joints": replace(JOINTS, position=np.zeros(6))}, "arm joint position"),
        ({"commanded_rad": np.zeros(8)}, "commanded arm position"),
        ({"grip_position": lambda q: np.zeros(2)}, "gripper position"),
    ],
)
def test_wrong_shapes_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ObservationError, match=words):
        see(make_spec(), **changes)


def test_a_vector_of_another_layout_is_refused() -> None:
    spec = make_spec()
    swapped = (spec.vector[1], spec.vector[0], *spec.vector[2:])
    with pytest.raises(ValidationError, match="goal_y"):
        ObservationSpec(image=IMAGE, proprioception=True, last_actions=2, commanded=True, vector=swapped)
    with pytest.raises(ValidationError, match="expected"):
        ObservationSpec(image=IMAGE, proprioception=False, last_actions=2, commanded=True, vector=spec.vector)
    with pytest.raises(ValidationError, match="expected"):
        ObservationSpec(image=IMAGE, proprioception=True, last_actions=2, commanded=False, vector=spec.vector)


def test_history_is_newest_first_and_forgets_on_reset() -> None:
    history = ActionHistory(2)
    np.testing.assert_array_equal(history.recent(), np.zeros((2, 4)))
    for value in (1.0, 2.0, 3.0):
        history.push(np.full(4, value))
    np.testing.assert_array_equal(history.recent()[:, 0], [3.0, 2.0])
    history.recent()[:] = 9.0
    np.testing.assert_array_equal(history.recent()[:, 0], [3.0, 2.0])
    history.reset()
    np.testing.assert_array_equal(history.recent(), np.zeros((2, 4)))


def test_a_history_of_nothing_is_empty() -> None:
    history = ActionHistory(0)
    history.push(np.ones(4))
    assert history.recent().shape == (0, 4)
