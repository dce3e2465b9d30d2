"""What the view knows of the graph at the moment. No ROS here: one thread writes, those that serve pages read."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.messages.motion import SetpointReport, is_refused
from fetch_sim2real.perception.camera import CameraModel, Pose
from fetch_sim2real.ros.view.goal_mark import GoalMark, mark_goal
from fetch_sim2real.types import Goal, JointSample, JointSetpoint

COLOR: Final = "color"
DEPTH: Final = "depth"
# Frames whose answer may come: at 30 Hz two seconds, far beyond any that still counts.
_MAX_FRAMES: Final = 60
_TRACE: Final = 150
_RATE_WINDOW_S: Final = 2.0
_OUTCOME_KEYS: Final = ("seed", "success", "final_distance_m", "steps")


@dataclass(frozen=True)
class Picture:
    """A received picture: pixels (H, W, 3) uint8 or (H, W) uint16 [mm], numbered from 1 as they came."""

    number: int
    pixels: NDArray[np.generic]


class LiveState:
    """The newest of everything that the graph says, and a short history of what happened to its frames."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` [s]: when things come in, and how old they are when they are asked for."""
        self._clock = clock
        self._lock = threading.Lock()
        self._pictures: dict[str, Picture] = {}
        self._came_s: dict[str, deque[float]] = {}
        self._sent_ns: OrderedDict[int, int | None] = OrderedDict()  # None once answered
        self._answer_ms: deque[float] = deque(maxlen=_TRACE)
        self._decisions: Counter[str] = Counter()
        self._decision = ""
        self._last_refusal: tuple[float, str] | None = None
        self._camera: CameraModel | None = None
        self._base_T_camera: Pose | None = None
        self._pose_note = "the policy has not been asked for its camera's pose yet"
        self._goal: Goal | None = None
        self._goal_status: Mapping[str, Any] = {}
        self._move_status: Mapping[str, Any] = {}
        self._block_m: NDArray[np.float64] | None = None
        self._joints: JointSample | None = None
        self._torso_m: float | None = None
        self._commanded: JointSetpoint | None = None
        self._outcomes: deque[Mapping[str, Any]] = deque(maxlen=20)
        self._episodes = [0, 0]
        self._nodes: dict[str, tuple[float, dict[str, Any]]] = {}
        self._ignored: Counter[str] = Counter()

    # -- what comes in -------------------------------------------------------------------------------------------

    def on_picture(self, kind: str, pixels: NDArray[np.generic], stamp_ns: int, published_ns: int) -> None:
        """Take in a picture, ``kind`` is ``COLOR`` or ``DEPTH``; ``published_ns`` by its sender's system clock."""
        with self._lock:
            before = self._pictures.get(kind)
            self._pictures[kind] = Picture(1 if before is None else before.number + 1, pixels)
            self._note(kind)
            if kind == COLOR:
                # A frame that is sent again, as in a simulation that starts, counts from its first time.
                self._sent_ns.setdefault(stamp_ns, published_ns)
                while len(self._sent_ns) > _MAX_FRAMES:
                    self._sent_ns.popitem(last=False)

    def on_camera(self, camera: CameraModel) -> None:
        """Take in the colour camera's intrinsics."""
        with self._lock:
            self._camera = camera

    def on_camera_pose(self, base_T_camera: Pose | None, note: str) -> None:
        """Take in where the policy takes the camera to be; ``note`` says from which source, or why it is not known."""
        with self._lock:
            self._base_T_camera, self._pose_note = base_T_camera, note

    def on_joints(self, sample: JointSample, torso_m: float | None) -> None:
        """Take in measured joints."""
        with self._lock:
            self._joints, self._torso_m = sample, torso_m
            self._note("joints")

    def on_setpoint_report(self, report: SetpointReport, published_ns: int) -> None:
        """Take in the driver's answer to a frame.

        The times at which both were sent tell the latency, however late this process gets to them.
        """
        with self._lock:
            now_s = self._note("setpoint")
            self._commanded = report.setpoint
            self._decision = report.outcome
            self._decisions[report.outcome] += 1
            if is_refused(report.outcome):
                self._last_refusal = (now_s, report.outcome)
            sent_ns = self._sent_ns.get(report.stamp_ns)
            # A frame seen only when it was sent again, after its answer, tells nothing.
            if sent_ns is not None and published_ns > sent_ns:
                self._sent_ns[report.stamp_ns] = None
                self._answer_ms.append(1e-6 * (published_ns - sent_ns))

    def on_goal_status(self, status: Mapping[str, Any]) -> None:
        """Take in the policy's answer to a goal. One that is refused leaves the one before in force."""
        with self._lock:
            self._goal_status = status
            if status.get("accepted"):
                self._goal = goal_of(status)

    def on_policy_goal(self, status: Mapping[str, Any] | None) -> None:
        """Take in the goal that is in force, as the policy says again and again; None without one."""
        with self._lock:
            self._goal = None if status is None else goal_of(status)

    def on_move_status(self, status: Mapping[str, Any]) -> None:
        """Take in what became of a slow move of the arm."""
        with self._lock:
            self._move_status = status

    def on_block(self, position_m: NDArray[np.float64]) -> None:
        """Take in where the simulated block is, (3,) [m] in base_link: goals relative to it are drawn by it."""
        with self._lock:
            self._block_m = position_m

    def on_outcome(self, outcome: Mapping[str, Any]) -> None:
        """Take in how a simulated episode ended."""
        with self._lock:
            self._outcomes.append({key: outcome.get(key) for key in _OUTCOME_KEYS})
            self._episodes[0] += bool(outcome.get("success"))
            self._episodes[1] += 1

    def on_diagnostics(self, name: str, level: int, message: str, values: Mapping[str, str]) -> None:
        """Take in a node's word on itself."""
        with self._lock:
            self._nodes[name] = (self._clock(), {"level": level, "message": message, "values": dict(values)})

    def on_ignored(self, reason: str) -> None:
        """Take in a message that could not be understood."""
        with self._lock:
            self._ignored[reason] += 1
            while len(self._ignored) > 10:
                del self._ignored[next(iter(self._ignored))]

    # -- what is asked for ---------------------------------------------------------------------------------------

    def camera_pose(self) -> Pose | None:
        """Return where the policy takes the camera to be, ``base_T_camera``; None while that is not known."""
        with self._lock:
            return self._base_T_camera

    def picture(self, kind: str) -> tuple[Picture, GoalMark] | None:
        """Return the newest picture of a kind, and where the goal is in it; None before the first."""
        with self._lock:
            picture = self._pictures.get(kind)
            return None if picture is None else (picture, self._mark())

    def snapshot(self) -> dict[str, Any]:
        """Return everything but the pixels, as JSON takes it: no number in it is infinite or NaN."""
        with self._lock:
            now_s = self._clock()
            mark = self._mark()
            content = {
                "pictures": {kind: self._picture_record(kind, now_s) for kind in (COLOR, DEPTH)},
                "goal": None
                if self._goal is None
                else {"frame": self._goal.frame_id, "position_m": self._goal.position_m.tolist()},
                "goal_mark": {"pixel": mark.pixel, "note": mark.note},
                "goal_status": dict(self._goal_status),
                "camera_pose": self._pose_note,
                "move": dict(self._move_status),
                "joints": self._joint_records(),
                "joints_rate_hz": self._rate_hz("joints", now_s),
                "joints_age_s": self._age_s("joints", now_s),
                "driver": {
                    "last_decision": self._decision,
                    "decisions": dict(self._decisions),
                    "answers_hz": self._rate_hz("setpoint", now_s),
                    "last_refusal": None
                    if self._last_refusal is None
                    else {"age_s": now_s - self._last_refusal[0], "reason": self._last_refusal[1]},
                },
                "latency": self._latency_record(),
                "nodes": {name: {"age_s": now_s - at_s, **said} for name, (at_s, said) in self._nodes.items()},
                "episodes": {"successes": self._episodes[0], "count": self._episodes[1], "last": list(self._outcomes)},
                "ignored": dict(self._ignored),
            }
        finite: dict[str, Any] = _finite(content)
        return finite

    def _mark(self) -> GoalMark:
        return mark_goal(self._goal, self._camera, self._base_T_camera, self._pose_note, self._block_m)

    def _note(self, kind: str) -> float:
        now_s = self._clock()
        self._came_s.setdefault(kind, deque(maxlen=300)).append(now_s)
        return now_s

    def _age_s(self, kind: str, now_s: float) -> float | None:
        came_s = self._came_s.get(kind)
        return None if came_s is None else now_s - came_s[-1]

    def _rate_hz(self, kind: str, now_s: float) -> float:
        return sum(now_s - at_s <= _RATE_WINDOW_S for at_s in self._came_s.get(kind, ())) / _RATE_WINDOW_S

    def _picture_record(self, kind: str, now_s: float) -> dict[str, Any] | None:
        picture = self._pictures.get(kind)
        if picture is None:
            return None
        height, width = picture.pixels.shape[:2]
        record = {"number": picture.number, "width": width, "height": height}
        return record | {"age_s": self._age_s(kind, now_s), "rate_hz": self._rate_hz(kind, now_s)}

    def _joint_records(self) -> list[dict[str, Any]]:
        if self._joints is None:
            return []
        sample, commanded = self._joints, self._commanded
        records = [
            {
                "name": name.removesuffix("_joint"),
                "unit": "rad",
                "position": float(sample.position[i]),
                "lower": float(ARM.position_lower_rad[i]),
                "upper": float(ARM.position_upper_rad[i]),
                "velocity": float(sample.velocity[i]),
                "velocity_limit": float(ARM.velocity_rad_s[i]),
                "commanded": None if commanded is None else float(commanded.position[i]),
            }
            for i, name in enumerate(ARM.joint_names)
        ]
        others = (
            ("finger", sample.finger_position_m, (0.0, ARM.finger_max_m)),
            (ARM.torso_joint.removesuffix("_joint"), self._torso_m, ARM.torso_range_m),
        )
        for name, position_m, (lower_m, upper_m) in others:
            if position_m is not None:
                records.append(
                    {"name": name, "unit": "m", "position": position_m, "lower": lower_m, "upper": upper_m}
                )
        return records

    def _latency_record(self) -> dict[str, Any]:
        trace = [round(value, 2) for value in self._answer_ms]
        if not trace:
            return {"trace_ms": []}
        p50, p99 = np.percentile(trace, [50, 99])
        return {"trace_ms": trace, "p50_ms": float(p50), "p99_ms": float(p99)}


def goal_of(status: Mapping[str, Any]) -> Goal:
    """Return the goal that a status repeats; ValueError, TypeError or KeyError for what is none."""
    position_m = np.array([float(value) for value in status["position_m"]])
    if position_m.shape != (3,):
        raise ValueError(f"goal with {len(position_m)} numbers, expected 3")
    return Goal(str(status["frame_id"]), position_m)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value
