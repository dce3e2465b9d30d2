"""Writes steps as a LeRobotDataset, through LeRobot's own interface.

Depth is lossless: 16-bit PNG or TIFF in millimetres. LeRobot 0.6 knows depth and is told that it is; 0.4 takes any
picture that Pillow has, but counts its statistics in 8 bits, so that those of depth are counted here.
"""

from __future__ import annotations

import importlib.metadata
import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from packaging.version import Version

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.bags.export.episodes import Episode
from fetch_sim2real.bags.export.png import encode_png
from fetch_sim2real.bags.export.steps import Step
from fetch_sim2real.errors import SetupError
from fetch_sim2real.timing import CONTROL_RATE_HZ

COLOR: Final = "observation.images.color"
DEPTH: Final = "observation.depth"
STATE: Final = "observation.state"
VELOCITY: Final = "observation.velocity"
GOAL: Final = "observation.goal"
STAMPS: Final = "stamps_ns"
ACTION: Final = "action"
DONE: Final = "next.done"
SUCCESS: Final = "next.success"

_PACKAGE: Final = "lerobot"
_OLDEST: Final = Version("0.4")
# Its name on a hub, which nothing here uses: the folder may be pushed under any other.
_REPOSITORY: Final = "local/fetch_sim2real"
_DEPTH_VALUES: Final = 2**16
_QUANTILES: Final = (0.01, 0.10, 0.50, 0.90, 0.99)
_STAMP_NAMES: Final = ("frame", "joints", "command_received")
_UNKNOWN_TASK: Final = "unknown"


def require_lerobot() -> None:
    """Raise ``SetupError`` where LeRobot is missing or older than what is supported."""
    how = "pip install 'fetch-sim2real[lerobot]', best in an environment of its own (docs/bags.md)"
    try:
        installed = importlib.metadata.version(_PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        raise SetupError(f"--to lerobot needs the package 'lerobot', which is not installed: {how}") from None
    if Version(installed) < _OLDEST:
        raise SetupError(f"lerobot is {installed}, expected {_OLDEST} or newer: {how}")


class LeRobotWriter:
    """Writes a dataset into a folder; see ``StepWriter``."""

    def __init__(self, folder: Path, task: str = "", as_video: bool = False) -> None:
        """``folder`` must not exist yet. ``task`` replaces that of the bag; ``as_video``: colour loses detail."""
        self._folder, self._task, self._as_video = folder, task, as_video
        self._dataset: Any = None
        self._has_depth = False
        self._depth = _DepthCounts()
        self._pending: Step | None = None

    def begin(self, bag: str, episode: Episode) -> None:
        """See ``StepWriter``."""
        self._episode = episode

    def add(self, step: Step) -> None:
        """See ``StepWriter``."""
        if self._dataset is None:
            self._create(step)
        # The last one of an episode is told: it waits for the next one.
        if self._pending is not None:
            self._write(self._pending, is_last=False)
        self._pending = step

    def end(self) -> None:
        """See ``StepWriter``."""
        if self._pending is not None:
            self._write(self._pending, is_last=True)
            self._pending = None
            self._dataset.save_episode()

    def close(self) -> None:
        """See ``StepWriter``."""
        if self._dataset is None:
            return
        self._dataset.finalize()
        if not self._has_depth:
            self._write_depth_statistics()

    # -- inside --------------------------------------------------------------------------------------------------

    def _create(self, step: Step) -> None:
        with _offline():
            # As LeRobot 0.6 has it; 0.4 has it in one module alone.
            from lerobot.datasets.lerobot_dataset import LeRobotDataset

            self._has_depth = "depth_encoder" in inspect.signature(LeRobotDataset.create).parameters
            self._dataset = LeRobotDataset.create(
                _REPOSITORY,
                fps=round(CONTROL_RATE_HZ),
                features=features(step.camera.height, step.camera.width, self._as_video),
                root=self._folder,
                robot_type=ARM.name,
                use_videos=self._as_video,
                image_writer_threads=os.cpu_count() or 1,
            )
        self._size = (step.camera.height, step.camera.width)

    def _write(self, step: Step, is_last: bool) -> None:
        frame = step.frame
        size = frame.depth_mm.shape
        if size != self._size or frame.rgb.shape[:2] != self._size:
            raise SetupError(
                f"the frame of {step.frame.stamp_ns} has {size[1]}x{size[0]} pixels, the first one had "
                f"{self._size[1]}x{self._size[0]}: a dataset has one size, export bags of different cameras apart"
            )
        if not self._has_depth:
            self._depth.add(step.frame.depth_mm)
        self._dataset.add_frame(
            {
                **values(step, is_last),
                COLOR: frame.rgb if self._as_video else _picture(frame.rgb),
                DEPTH: frame.depth_mm[..., np.newaxis] if self._has_depth else _picture(frame.depth_mm),
                "task": self._task or self._episode.task or _UNKNOWN_TASK,
            }
        )

    def _write_depth_statistics(self) -> None:
        from lerobot.datasets.utils import load_stats, write_stats

        stats = load_stats(self._folder)
        stats[DEPTH] = self._depth.statistics()
        write_stats(stats, self._folder)


def features(height: int, width: int, as_video: bool) -> dict[str, dict[str, Any]]:
    """Return what a dataset holds, as LeRobot asks for it, for pictures of ``height`` and ``width`` [px]."""
    joints = [*ARM.joint_names, "finger"]
    pixels = ["height", "width", "channels"]
    return {
        COLOR: {"dtype": "video" if as_video else "image", "shape": (height, width, 3), "names": pixels},
        DEPTH: {
            "dtype": "image",
            "shape": (height, width, 1),
            "names": pixels,
            "info": {"is_depth_map": True, "depth_unit": "mm"},
        },
        STATE: _vector("float32", [f"{name}.position" for name in joints]),
        VELOCITY: _vector("float32", [f"{name}.velocity" for name in ARM.joint_names]),
        GOAL: _vector("float32", ["x", "y", "z"]),
        ACTION: _vector("float32", [f"{name}.position" for name in joints]),
        STAMPS: _vector("int64", list(_STAMP_NAMES)),
        DONE: {"dtype": "bool", "shape": (1,), "names": None},
        SUCCESS: {"dtype": "bool", "shape": (1,), "names": None},
    }


def values(step: Step, is_last: bool) -> dict[str, NDArray[Any]]:
    """Return the numbers of a step by feature. A goal that there is not is NaN; a hold commands where the arm is."""
    joints, command, goal = step.joints, step.period.command, step.period.goal
    finger_m = joints.finger_position_m if command.finger_position_m is None else command.finger_position_m
    position = joints.position if command.hold else command.position
    stamps_ns = [step.frame.stamp_ns, joints.stamp_ns, step.period.received_ns]
    has_succeeded = is_last and step.episode.judgement.outcome == "success"
    return {
        STATE: np.array([*joints.position, joints.finger_position_m], np.float32),
        VELOCITY: np.array(joints.velocity, np.float32),
        GOAL: np.full(3, np.nan, np.float32) if goal is None else np.array(goal.position_m, np.float32),
        ACTION: np.array([*position, finger_m], np.float32),
        STAMPS: np.array(stamps_ns, np.int64),
        DONE: np.array([is_last]),
        SUCCESS: np.array([has_succeeded]),
    }


class _DepthCounts:
    """How often each depth [mm] occurred, for statistics that are exact."""

    def __init__(self) -> None:
        self._counts = np.zeros(_DEPTH_VALUES, np.int64)
        self._frames = 0

    def add(self, depth_mm: NDArray[np.uint16]) -> None:
        self._counts += np.bincount(depth_mm.ravel(), minlength=_DEPTH_VALUES)
        self._frames += 1

    def statistics(self) -> dict[str, NDArray[Any]]:
        """Return them as LeRobot has them of a picture: one channel, (1, 1, 1) each."""
        depths_mm = np.arange(_DEPTH_VALUES, dtype=np.float64)
        total, seen = self._counts.sum(), np.flatnonzero(self._counts)
        mean = float(self._counts @ depths_mm) / total
        deviation = float(np.sqrt(self._counts @ (depths_mm - mean) ** 2 / total))
        below = np.cumsum(self._counts)
        numbers = {"min": float(seen[0]), "max": float(seen[-1]), "mean": mean, "std": deviation}
        numbers |= {f"q{round(100 * q):02d}": float(np.searchsorted(below, q * total)) for q in _QUANTILES}
        shaped = {name: np.full((1, 1, 1), number) for name, number in numbers.items()}
        return {**shaped, "count": np.array([self._frames])}


def _vector(kind: str, names: list[str]) -> dict[str, Any]:
    return {"dtype": kind, "shape": (len(names),), "names": names}


def _picture(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> Any:
    """A picture of Pillow's, which LeRobot saves as PNG."""
    # Comes with LeRobot.
    from PIL import Image

    picture: Any = Image.fromarray(np.ascontiguousarray(pixels))
    # LeRobot asks Pillow for an effort that takes several times as long and makes sensor noise hardly smaller.
    picture.save = partial(_save_png, pixels)
    return picture


def _save_png(pixels: NDArray[np.uint8] | NDArray[np.uint16], path: Path, **_: Any) -> None:
    in_order: Any = np.ascontiguousarray(pixels[..., ::-1]) if pixels.ndim == 3 else pixels
    Path(path).write_bytes(encode_png(in_order))


@contextmanager
def _offline() -> Iterator[None]:
    """Keep the hub out of it while LeRobot is imported: a dataset is written on this machine alone."""
    name = "HF_HUB_OFFLINE"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
