"""``import fetch_sim2real``: what it offers, that it is the runtime's own way, and what it refuses with which words."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from synthetic_bag import CAMERA
from test_bundle import GRU, make_content, write_bundle

import fetch_sim2real as fs
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.errors import FetchSim2RealError, ObservationError, SetupError
from fetch_sim2real.policy.runtime import PolicyRuntime
from fetch_sim2real.types import JointSetpoint, RgbdFrame

INIT = Path(fs.__file__)
HOME = dict(zip(ARM.joint_names, ARM.home_rad.tolist(), strict=True)) | {ARM.gripper_joints[0]: 0.01}
IMPORTED = "import sys, fetch_sim2real; print(*{'numpy', 'torch', 'mujoco', 'rclpy', 'cv2'} & set(sys.modules))"


@pytest.fixture(scope="module", params=["plain", "recurrent"])
def policy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> fs.LoadedPolicy:
    content = make_content(GRU if request.param == "recurrent" else None)
    return fs.load_policy(write_bundle(tmp_path_factory.mktemp("policies") / "own", content))


@pytest.fixture(scope="module")
def push() -> fs.LoadedPolicy:
    return fs.load_policy("push")


def sensed(index: int) -> fs.Sensed:
    rng, size = np.random.default_rng(index), (CAMERA.height, CAMERA.width)
    rgb = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    frame = RgbdFrame(index, rgb, rng.integers(300, 2000, size).astype(np.uint16))
    joints = fs.JointSample(index, ARM.home_rad + 0.01 * rng.normal(size=len(HOME) - 1), np.zeros(len(HOME) - 1), 0.01)
    return fs.Sensed(frame, CAMERA, joints, np.array([0.05, 0.0, 0.0]), JointSetpoint.at_rest(ARM.home_rad))


def act(policy: fs.LoadedPolicy, now: fs.Sensed, by_name: bool = False) -> np.ndarray:
    names = dict(zip(ARM.joint_names, now.joints.position, strict=True))
    joints = names | {ARM.gripper_joints[0]: now.joints.finger_position_m} if by_name else now.joints
    return policy.act(
        now.frame.rgb, now.frame.depth_mm, joints, now.goal_m, camera=now.camera, commanded=now.setpoint.position,
        stamp_ns=now.frame.stamp_ns,
    )  # fmt: skip


def test_importing_it_imports_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_what_it_promises_is_there_and_what_type_checkers_see() -> None:
    assert set(fs.__all__) <= set(dir(fs))
    assert all(getattr(fs, name) is not None for name in fs.__all__)
    with pytest.raises(AttributeError, match=r"no .load_polcy., available: .*load_policy"):
        fs.load_polcy  # type: ignore[attr-defined]  # noqa: B018
    # Both lists of where names are, the type checker's and the one that is used, say the same.
    declared = {
        alias.name: node.module
        for node in ast.walk(ast.parse(INIT.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("fetch_sim2real")
        for alias in node.names
    }
    assert declared == fs._HOMES  # type: ignore[attr-defined]
    assert {*declared, "__version__"} == set(fs.__all__)


def test_frames_give_the_runtime_s_actions_bit_for_bit(policy: fs.LoadedPolicy) -> None:
    runtime = PolicyRuntime.of_bundle(policy.bundle)
    policy.reset()
    frames = [sensed(index) for index in range(4)]
    expected = [runtime.act([now])[0] for now in frames]
    for by_name in (False, True):
        policy.reset()
        np.testing.assert_array_equal([act(policy, now, by_name) for now in frames], expected)
    assert not np.array_equal(act(policy, frames[0]), expected[0]), "without a reset it remembers"


def test_a_refused_frame_changes_nothing(policy: fs.LoadedPolicy) -> None:
    first, second = sensed(0), sensed(1)
    policy.reset()
    act(policy, first)
    expected = act(policy, second)
    policy.reset()
    act(policy, first)
    with pytest.raises(ObservationError):
        act(policy, replace(second, frame=RgbdFrame(1, second.frame.rgb[:-1], second.frame.depth_mm)))
    np.testing.assert_array_equal(act(policy, second), expected)


def test_a_command_is_where_the_joints_are_to_be(policy: fs.LoadedPolicy) -> None:
    now = sensed(0)
    policy.reset()
    made = policy.command(now.frame.rgb, now.frame.depth_mm, HOME, now.goal_m, camera=now.camera)
    assert made.position.shape == (len(ARM.joint_names),)
    assert 0.0 < np.abs(made.position - ARM.home_rad).max() < 0.2


GOOD: dict[str, Any] = {
    "rgb": np.full((36, 48, 3), 120, np.uint8),
    "depth_mm": np.full((36, 48), 900, np.uint16),
    "joints": HOME,
    "goal": (0.05, 0.0, 0.0),
}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("rgb", GOOD["rgb"] / 255.0, r"rgb is \(36, 48, 3\) float64 with values .* seems to be normalized"),
        ("rgb", GOOD["rgb"] / 255.0 - 0.5, "seems to be normalized"),
        ("rgb", (GOOD["rgb"] > 0).astype(np.uint8), "only 0 and 1"),
        ("rgb", GOOD["rgb"].astype(np.int64), "int64, expected uint8"),
        ("rgb", np.moveaxis(GOOD["rgb"], -1, 0), "channels last"),
        ("rgb", np.zeros((36, 48, 4), np.uint8), r"rgb\[..., :3\]"),
        ("rgb", GOOD["rgb"][..., 0], r"\(36, 48\) uint8, expected \(H, W, 3\)"),
        ("depth_mm", GOOD["depth_mm"] / 1000.0, r"depth_mm is .* float64 with values up to 0.9.*1000 \* depth_m"),
        ("depth_mm", (GOOD["depth_mm"] // 1000 + 1).astype(np.uint16), "metres were made whole numbers"),
        ("depth_mm", GOOD["depth_mm"].astype(np.float32), "expected uint16 in millimetres"),
        ("depth_mm", GOOD["depth_mm"][..., None], r"depth_mm\[..., 0\]"),
        ("depth_mm", GOOD["depth_mm"][:-1], "align depth to the colour picture"),
        ("depth_mm", None, "depth_mm is missing"),
        ("joints", {**HOME, ARM.joint_names[1]: 60.0}, "is 60, expected .* radians, not degrees"),
        ("joints", {**HOME, ARM.gripper_joints[0]: 40.0}, "fingers in joints are 40 m"),
        ("joints", {k: v for k, v in HOME.items() if k != ARM.joint_names[2]}, f"add {ARM.joint_names[2]}"),
        ("joints", {k: v for k, v in HOME.items() if k in ARM.joint_names}, "add a finger"),
        ("joints", {**HOME, ARM.joint_names[0]: float("nan")}, "is NaN"),
        ("joints", ARM.home_rad, "joints is a ndarray, expected positions by name"),
        ("goal", (50.0, 0.0, 0.0), "in millimetres; give metres"),
        ("goal", (0.5, 0.0, 0.0), r"goal is \[0.5, 0.0, 0.0\] m, expected a place within .* in 'block'"),
        ("goal", (0.05, 0.0), "expected three finite numbers"),
        ("commanded", {ARM.joint_names[0]: 0.0}, "commanded holds"),
        ("commanded", np.zeros(3), "commanded: position is"),
    ],
)
def test_what_does_not_fit_is_named_with_the_next_step(
    policy: fs.LoadedPolicy, name: str, value: object, words: str
) -> None:
    policy.reset()
    with pytest.raises(ObservationError, match=words):
        policy.act(**{**GOOD, "camera": CAMERA, name: value})


def test_names_that_do_not_exist_are_refused() -> None:
    with pytest.raises(SetupError, match=r"shipped: .*push"):
        fs.load_policy("pusch")
    with pytest.raises(FetchSim2RealError, match="look is 'never', expected one of every-frame"):
        fs.load_policy("push", look="never")  # type: ignore[arg-type]
    with pytest.raises(FetchSim2RealError, match="did you mean 'push'"):
        fs.make_env("pusch")
    with pytest.raises(FetchSim2RealError, match="task is missing"):
        fs.run_episode(lambda now: np.zeros(4))
    with pytest.raises(FetchSim2RealError, match="shove"):
        fs.run_episode(lambda now: np.zeros(4), task="push", perturb=["kick"])


@pytest.fixture(scope="module")
def record(push: fs.LoadedPolicy) -> fs.EpisodeRecord:
    return fs.run_episode(push, world="randomized", seed=3, most_steps=5)


@pytest.mark.gl
def test_camera_data_of_an_episode_gives_the_episode_s_actions(push: fs.LoadedPolicy, record: fs.EpisodeRecord) -> None:
    push.reset()
    own = fs.run_episode(lambda now: act(push, now), seed=3, task="push", most_steps=5)
    np.testing.assert_array_equal(own.actions, record.actions)
    assert np.abs(record.actions).max() > 0.0
    with pytest.raises(FetchSim2RealError, match=r"expected 4 finite numbers in \[-1, 1\]"):
        fs.run_episode(lambda now: np.zeros(3), task="push", most_steps=1)


@pytest.mark.gl
def test_an_episode_s_record_is_what_happened(record: fs.EpisodeRecord, tmp_path: Path) -> None:
    assert (record.policy, record.task, record.world, record.seed) == ("push", "push", "randomized", 3)
    assert not record.is_over and not record.success
    assert record.actions.shape == (5, 4) and len(record.frames) == 5
    assert record.frames[0].frame.rgb.shape == (240, 424, 3) and record.frames[0].time_s == 0.0
    assert record.distances_m[0] == record.frames[0].distance_m > record.tolerance_m
    with pytest.raises(FrozenInstanceError):
        record.success = True  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        record.actions[0] = 0.0
    picture = cv2.imread(str(record.plot(tmp_path / "new" / "episode.png")))
    assert picture is not None and picture.shape[1] >= 1196
    with pytest.raises(SetupError, match="plot"):
        record.plot(tmp_path / "episode.txt")


@pytest.mark.gl
def test_a_video_is_written_or_the_extra_is_named(record: fs.EpisodeRecord, tmp_path: Path) -> None:
    if find_spec("imageio_ffmpeg") is None:
        with pytest.raises(SetupError, match="EXTRAS=viz"):
            record.save_video(tmp_path / "episode.mp4")
    else:
        assert record.save_video(tmp_path / "episode.mp4").stat().st_size > 0
    with pytest.raises(FetchSim2RealError, match="keep_frames=True"):
        replace(record, frames=()).save_video(tmp_path / "none.mp4")


@pytest.fixture(scope="module")
def env() -> Iterator[Any]:
    made = fs.make_env("push", observation_mode="rgbd")
    yield made
    made.close()


@pytest.mark.gl
def test_an_environment_s_observations_are_those_of_its_frames(push: fs.LoadedPolicy, env: Any) -> None:
    runtime = PolicyRuntime.of_bundle(push.bundle)
    push.reset()
    observation = env.reset(seed=3)[0]
    for _ in range(3):
        # Environments show goals as float32.
        now = replace(env.arrival().sensed(), goal_m=observation["desired_goal"].astype(np.float64))
        action = push.act(observation)
        np.testing.assert_array_equal(action, runtime.act([now])[0])
        observation = env.step(action)[0]
    with pytest.raises(ObservationError, match=r"call reset\(\) first"):
        act(push, sensed(0))
    wrong = {
        "an environment's rows": ({k: np.stack([v, v]) for k, v in observation.items()}, "environments=2"),
        "another mode": ({"observation": observation["observation"]}, "'rgbd' or 'asymmetric'"),
        "normalized pictures": (observation | {"rgb": observation["rgb"] / 255.0}, "seems to be normalized"),
        "another vector": (observation | {"observation": np.zeros(5, np.float32)}, "rows of 19 finite numbers"),
        "a goal elsewhere": (observation | {"desired_goal": np.float32([1.2, -0.3, 0.0])}, "expected a place within"),
    }
    with pytest.raises(ObservationError, match="goal given beside an observation"):
        push.act(observation, goal=(0.6, 0.0, 0.745))
    for given, words in wrong.values():
        with pytest.raises(ObservationError, match=words):
            push.act(given)


@pytest.mark.gl
def test_rows_of_a_vector_environment_are_acted_on_together(push: fs.LoadedPolicy) -> None:
    together = fs.make_env("push", num_envs=2, observation_mode="rgbd")
    both = fs.load_policy("push", environments=2)
    observations, _ = together.reset(seed=3)
    actions = both.act(observations)
    together.close()
    for row in range(2):
        push.reset()
        alone = push.act({name: value[row] for name, value in observations.items()})
        np.testing.assert_allclose(actions[row], alone, atol=5e-6)
    both.reset([0])
    with pytest.raises(ObservationError, match="environments=1"):
        act(both, sensed(0))
