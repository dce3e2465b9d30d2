"""Reads one episode back from a bag. Needs no ROS."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore

from fetch_sim2real import graph
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.kinematics import grip_position
from fetch_sim2real.common.raw_header import stamp_ns_in
from fetch_sim2real.errors import SetupError
from fetch_sim2real.evaluation.result import EpisodeResult
from fetch_sim2real.messages.camera_info import decode_camera_info
from fetch_sim2real.messages.images import decode_color, decode_depth
from fetch_sim2real.perception.camera import CameraModel
from fetch_sim2real.tasks.base import GRIPPER, Task
from fetch_sim2real.timing import CONTROL_PERIOD_NS
from fetch_sim2real.types import FloatArray, RgbdFrame

_LIGHT: Final = (graph.COLOR_INFO, graph.JOINT_STATES, graph.SIM_BLOCK_POSE)


@dataclass(frozen=True)
class Moment:
    """A frame and what was true when it was taken.

    ``time_s`` since the start of the episode; target (gripper or object) and goal (3,) [m] in base_link, ``distance_m``
    between them.
    """

    time_s: float
    frame: RgbdFrame
    camera: CameraModel
    target_m: FloatArray
    goal_m: FloatArray

    @property
    def distance_m(self) -> float:
        return float(np.linalg.norm(self.target_m - self.goal_m))


def read_episode(
    bag: Path,
    episode: EpisodeResult,
    span_ns: tuple[int, int],
    task: Task,
    torso_height_m: float,
    count: int | None = None,
) -> tuple[Moment, ...]:
    """Return the frames of ``episode``, which was recorded within ``span_ns`` (system time), in order.

    With ``count`` only so many, see ``spread``. Raises ``SetupError`` if the bag cannot be read, or does not say where
    the goal of such a task is.
    """
    if not {task.target, task.goal_frame} <= {GRIPPER, graph.BASE_FRAME, task.main_object}:
        raise SetupError(
            f"the bag {bag} holds the pose of '{task.main_object}', and goals of the task '{task.name}' are where "
            f"'{task.goal_frame}' is: it cannot be shown where they are"
        )
    # The first frame may reach the recorder before the operator looks at the clock, and the last ones after it.
    window_ns = (span_ns[0] - 1_000_000_000, span_ns[1] + 1_000_000_000)
    try:
        with AnyReader([bag], default_typestore=get_typestore(Stores.ROS2_JAZZY)) as reader:
            light = {topic.name: _by_stamp(reader, topic.name, window_ns) for topic in _LIGHT}
            stamps_ns = _frame_stamps(light[graph.COLOR_INFO.name], episode)
            if not all(light.values()):
                return ()
            picked = set(stamps_ns if count is None else spread(stamps_ns, count))
            color = _by_stamp(reader, graph.COLOR.name, window_ns, picked)
            depth = _by_stamp(reader, graph.DEPTH.name, window_ns, picked)
    except Exception as error:  # rosbags raises many kinds for a bag that is damaged
        raise SetupError(f"the bag {bag} cannot be read: {error}") from error
    return tuple(
        _moment(stamp_ns, color[stamp_ns], depth[stamp_ns], light, episode, task, torso_height_m)
        for stamp_ns in sorted(color.keys() & depth.keys())
    )


def _moment(
    stamp_ns: int,
    color: Any,
    depth: Any,
    light: Mapping[str, Mapping[int, Any]],
    episode: EpisodeResult,
    task: Task,
    torso_height_m: float,
) -> Moment:
    # The bridge publishes the pose of the main object, whatever its name.
    object_m = {task.main_object: _position(_nearest(light[graph.SIM_BLOCK_POSE.name], stamp_ns))}
    goal_m = np.array(episode.goal_m)
    if episode.goal_frame != graph.BASE_FRAME:
        goal_m = object_m[episode.goal_frame] + goal_m
    grip_m = grip_position(_arm(_nearest(light[graph.JOINT_STATES.name], stamp_ns)), torso_height_m)
    return Moment(
        time_s=(stamp_ns - episode.start_ns) * 1e-9,
        frame=RgbdFrame(stamp_ns, decode_color(color), decode_depth(depth)),
        camera=decode_camera_info(light[graph.COLOR_INFO.name][stamp_ns]),
        target_m=grip_m if task.target == GRIPPER else object_m[task.target],
        goal_m=goal_m,
    )


def _frame_stamps(stamps_ns: Iterable[int], episode: EpisodeResult) -> list[int]:
    # The next episode may have begun within the window; simulated time never goes back.
    end_ns = episode.start_ns + episode.steps * CONTROL_PERIOD_NS
    return sorted(stamp_ns for stamp_ns in stamps_ns if episode.start_ns <= stamp_ns < end_ns)


def _by_stamp(
    reader: AnyReader, topic: str, window_ns: tuple[int, int], picked: Container[int] | None = None
) -> dict[int, Any]:
    """Messages of a topic by stamp, of ``picked`` stamps only if given."""
    connections = [connection for connection in reader.connections if connection.topic == topic]
    messages: dict[int, Any] = {}
    for connection, _, raw in reader.messages(connections, start=window_ns[0], stop=window_ns[1]):
        stamp_ns = stamp_ns_in(raw)
        if stamp_ns is not None and (picked is None or stamp_ns in picked):
            messages[stamp_ns] = reader.deserialize(raw, connection.msgtype)
    return messages


def _nearest(by_stamp: Mapping[int, Any], stamp_ns: int) -> Any:
    exact = by_stamp.get(stamp_ns)
    return exact if exact is not None else by_stamp[min(by_stamp, key=lambda other: abs(other - stamp_ns))]


def _arm(message: Any) -> FloatArray:
    return np.array([message.position[message.name.index(joint)] for joint in ARM.joint_names])


def _position(message: Any) -> FloatArray:
    point = message.pose.position
    return np.array([point.x, point.y, point.z])


def spread(stamps_ns: Sequence[int], count: int) -> list[int]:
    """Return ``count`` of ``stamps_ns``, from the first to the last, ever wider apart; all of them if there are fewer.

    Most happens at the start of an episode; at its end the gripper waits at the goal.
    """
    if len(stamps_ns) <= count:
        return list(stamps_ns)
    places = (len(stamps_ns) - 1) * np.linspace(0.0, 1.0, count) ** 2
    return [stamps_ns[index] for index in dict.fromkeys(places.round().astype(int).tolist())]
