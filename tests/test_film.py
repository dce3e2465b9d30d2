"""Pictures of an episode: read back from a bag, points drawn where they are, files that open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rosbags.typesys import Stores, get_typestore

from fetch_sim2real import graph
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.kinematics import grip_position
from fetch_sim2real.common.picture_file import write_picture
from fetch_sim2real.errors import FetchSim2RealError, SetupError
from fetch_sim2real.evaluation.recorded_episode import Moment, read_episode, spread
from fetch_sim2real.evaluation.result import EpisodeResult
from fetch_sim2real.perception.camera import CameraModel, Pose
from fetch_sim2real.reports.film_strip import FilmTitle, depth_picture, film_strip, frame_column, write_film
from fetch_sim2real.ros.recorder.bag import Bag
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.timing import CONTROL_PERIOD_NS
from fetch_sim2real.types import RgbdFrame

STORE = get_typestore(Stores.ROS2_JAZZY)
TYPES = STORE.types
WIDTH, HEIGHT = 64, 48
CAMERA = CameraModel(WIDTH, HEIGHT, 60.0, 60.0, (WIDTH - 1) / 2, (HEIGHT - 1) / 2)
CAMERA_POSE = Pose.looking_at((1.0, 0.6, 1.5), (0.6, 0.0, 0.8))
START_NS = 7 * 10**9
TORSO_M = 0.35
ARM_RAD = np.array([0.1, 0.4, -0.2, 1.0, 0.3, 0.6, 0.0])
BLOCK_M = np.array([0.6, 0.05, 0.745])
OFFSET_M = (0.01, -0.02, 0.1)
TITLE = FilmTitle("a policy in a world", success=True, final_distance_m=0.012, tolerance_m=0.05)


def moment(time_s: float = 0.5, goal_m: Any = (0.6, 0.0, 0.8)) -> Moment:
    rgb = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    depth_mm = np.full((HEIGHT, WIDTH), 1000, np.uint16)
    return Moment(time_s, RgbdFrame(0, rgb, depth_mm), CAMERA, np.array([0.6, 0.1, 0.9]), np.array(goal_m))


# ---- reading --------------------------------------------------------------------------------------------------------


def header(stamp_ns: int, frame_id: str = "") -> Any:
    stamp = TYPES["builtin_interfaces/msg/Time"](sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return TYPES["std_msgs/msg/Header"](stamp=stamp, frame_id=frame_id)


def image(stamp_ns: int, pixels: np.ndarray, encoding: str, padding: int = 0) -> Any:
    rows = np.pad(np.ascontiguousarray(pixels).view(np.uint8).reshape(HEIGHT, -1), ((0, 0), (0, padding)))
    return TYPES["sensor_msgs/msg/Image"](
        header=header(stamp_ns, graph.COLOR_OPTICAL_FRAME), height=HEIGHT, width=WIDTH, encoding=encoding,
        is_bigendian=0, step=rows.shape[1], data=rows.ravel(),
    )  # fmt: skip


def camera_info(stamp_ns: int) -> Any:
    return TYPES["sensor_msgs/msg/CameraInfo"](
        header=header(stamp_ns), height=HEIGHT, width=WIDTH, distortion_model="plumb_bob", d=np.zeros(5),
        k=np.array([CAMERA.fx, 0, CAMERA.cx, 0, CAMERA.fy, CAMERA.cy, 0, 0, 1.0]), r=np.eye(3).ravel(), p=np.zeros(12),
        binning_x=0, binning_y=0,
        roi=TYPES["sensor_msgs/msg/RegionOfInterest"](x_offset=0, y_offset=0, height=0, width=0, do_rectify=False),
    )  # fmt: skip


def joint_state(stamp_ns: int) -> Any:
    names = ["torso_lift_joint", *reversed(ARM.joint_names)]
    position = np.array([TORSO_M, *reversed(ARM_RAD)])
    return TYPES["sensor_msgs/msg/JointState"](
        header=header(stamp_ns), name=names, position=position, velocity=np.zeros(8), effort=np.zeros(0)
    )


def block_pose(stamp_ns: int) -> Any:
    point = TYPES["geometry_msgs/msg/Point"](*BLOCK_M)
    turn = TYPES["geometry_msgs/msg/Quaternion"](x=0.0, y=0.0, z=0.0, w=1.0)
    return TYPES["geometry_msgs/msg/PoseStamped"](
        header=header(stamp_ns, graph.BASE_FRAME),
        pose=TYPES["geometry_msgs/msg/Pose"](position=point, orientation=turn),
    )


def write_bag(path: Path, frames: int) -> EpisodeResult:
    """An episode of ``frames`` frames, then the first frame of the next one; frame i is as bright as 10 i."""
    with Bag(path, graph.CONTRACT, {}, compress=True) as bag:
        for i in [*range(frames), 1000]:
            stamp_ns = START_NS + i * CONTROL_PERIOD_NS
            rgb = np.full((HEIGHT, WIDTH, 3), min(10 * i, 255), np.uint8)
            depth_mm = np.full((HEIGHT, WIDTH), 1000 + i, np.uint16)
            for topic, message in (
                (graph.COLOR, image(stamp_ns, rgb, "rgb8", padding=5)),
                (graph.DEPTH, image(stamp_ns, depth_mm, "16UC1", padding=4)),
                (graph.COLOR_INFO, camera_info(stamp_ns)),
                (graph.JOINT_STATES, joint_state(stamp_ns)),
                (graph.SIM_BLOCK_POSE, block_pose(stamp_ns + 10**7)),
            ):
                bag.write(topic.name, bytes(STORE.serialize_cdr(message, topic.type)), 10**10 + i * 1000)
    return EpisodeResult(
        seed=1,
        success=True,
        final_distance_m=0.01,
        steps=frames,
        start_ns=START_NS,
        goal_frame="block",
        goal_m=OFFSET_M,
    )


def test_an_episode_is_read_back_with_what_was_true_at_each_frame(tmp_path: Path) -> None:
    episode = write_bag(tmp_path / "bag", 12)
    moments = read_episode(tmp_path / "bag", episode, (10**10, 10**10 + 10**5), find_task("reach_block"), TORSO_M)
    assert [m.frame.rgb[3, 4, 1] for m in moments] == [10 * i for i in range(12)], "not the next episode's"
    assert [m.frame.depth_mm[-1, -1] for m in moments] == [1000 + i for i in range(12)]
    assert [m.time_s for m in moments] == pytest.approx([i / 30 for i in range(12)], abs=1e-6)
    for each in moments:
        assert each.camera == CAMERA
        np.testing.assert_allclose(each.goal_m, BLOCK_M + OFFSET_M)
        np.testing.assert_allclose(each.target_m, grip_position(ARM_RAD, TORSO_M))


def test_only_as_many_frames_as_asked_for_are_read(tmp_path: Path) -> None:
    episode = write_bag(tmp_path / "bag", 20)
    moments = read_episode(tmp_path / "bag", episode, (10**10, 10**10 + 10**5), find_task("reach_block"), TORSO_M, 4)
    assert len(moments) == 4
    assert (moments[0].time_s, moments[-1].time_s) == pytest.approx((0.0, 19 / 30), abs=1e-6)


def test_a_folder_that_is_no_bag_is_an_error(tmp_path: Path) -> None:
    episode = write_bag(tmp_path / "bag", 1)
    with pytest.raises(SetupError, match="cannot be read"):
        read_episode(tmp_path, episode, (0, 1), find_task("reach_block"), TORSO_M)


@given(st.integers(1, 2000), st.integers(2, 9))
def test_frames_are_spread_from_the_first_to_the_last(there: int, count: int) -> None:
    stamps = list(range(there))
    picked = spread(stamps, count)
    assert picked == sorted(set(picked)) and picked[0] == 0 and picked[-1] == there - 1
    assert len(picked) <= count
    assert len(picked) == min(there, count) or there < count**2


# ---- drawing --------------------------------------------------------------------------------------------------------


def test_the_goal_is_drawn_where_it_is_seen() -> None:
    """The camera looks at the goal, so that it is in the middle of the picture; another goal is not."""
    size = 4 * WIDTH
    column = frame_column(moment(), CAMERA_POSE, 0.05, size)
    caption = column.shape[0] - 2 * 4 * HEIGHT - 4
    yellow = np.argwhere((column[..., 0] > 230) & (column[..., 1] > 190) & (column[..., 2] < 60))
    v, u = yellow.mean(axis=0)
    assert u == pytest.approx((size - 1) / 2, abs=1.0)
    assert v - caption == pytest.approx((4 * HEIGHT - 1) / 2, abs=1.0)


def test_a_goal_behind_the_camera_is_not_drawn() -> None:
    column = frame_column(moment(goal_m=(2.0, 1.6, 3.0)), CAMERA_POSE, 0.05, 256)
    assert not np.any((column[..., 0] > 230) & (column[..., 1] > 190) & (column[..., 2] < 60))


def test_depth_is_black_where_there_is_none_and_differs_with_distance() -> None:
    picture = depth_picture(np.array([[0, 700, 1400, 1900]], np.uint16))
    assert picture[0, 0].tolist() == [0, 0, 0]
    assert len({tuple(pixel) for pixel in picture[0].tolist()}) == 4


def test_a_strip_is_written_and_opens(tmp_path: Path) -> None:
    path = tmp_path / "new" / "strip.png"
    strip = film_strip([moment(t) for t in (0.0, 0.5, 1.0)], CAMERA_POSE, TITLE)
    write_picture(strip, path)
    read = cv2.imread(str(path))
    assert read is not None
    np.testing.assert_array_equal(read[..., ::-1], strip)


def test_no_frames_and_unknown_formats_are_errors(tmp_path: Path) -> None:
    with pytest.raises(FetchSim2RealError, match="no frames"):
        film_strip([], CAMERA_POSE, TITLE)
    with pytest.raises(FetchSim2RealError, match="cannot be written"):
        write_picture(film_strip([moment()], CAMERA_POSE, TITLE), tmp_path / "strip.nonsense")


def test_a_video_has_every_frame(tmp_path: Path) -> None:
    pytest.importorskip("imageio_ffmpeg")
    path = tmp_path / "new" / "episode.mp4"
    write_film([moment(i / 30) for i in range(10)], CAMERA_POSE, TITLE, path)
    video = cv2.VideoCapture(str(path))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 10
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(30)
    video.release()
