"""Writes steps as Parquet tables for pandas, Polars, DuckDB: ``frames``, ``episodes``, and lossless pictures.

Pictures are PNG in tables of their own, one file for each episode, so that ``frames.parquet`` stays small: a table is
read as a whole into memory. ``episode`` and ``frame`` join them.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.bags.export.episodes import Episode
from fetch_sim2real.bags.export.png import encode_png
from fetch_sim2real.bags.export.steps import Step
from fetch_sim2real.errors import SetupError

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.parquet

FRAMES_FILE: Final = "frames.parquet"
EPISODES_FILE: Final = "episodes.parquet"
IMAGES_FOLDER: Final = "images"
# Rows that are written at a time.
_ROW_GROUP: Final = 4096
_IMAGE_GROUP: Final = 64


def require_parquet() -> None:
    """Raise ``SetupError`` where the package is missing that writes Parquet."""
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise SetupError(
            "--to parquet needs the package 'pyarrow', which is not installed: pip install 'fetch-sim2real[parquet]', "
            "or in a clone EXTRAS=parquet make venv"
        ) from error


class ParquetWriter:
    """Writes tables into a folder; see ``StepWriter``."""

    def __init__(self, folder: Path, with_images: bool = True) -> None:
        """``folder`` must not exist yet."""
        folder.mkdir()
        self._folder, self._with_images = folder, with_images
        self._frames = _Table(folder / FRAMES_FILE, _frames_schema())
        self._episodes = _Table(folder / EPISODES_FILE, _episodes_schema())
        self._images: _Table | None = None
        # OpenCV lets other threads run while it encodes.
        self._pool = ThreadPoolExecutor()
        self._number = 0
        self._count = 0

    def begin(self, bag: str, episode: Episode) -> None:
        """See ``StepWriter``."""
        self._bag, self._episode, self._count = bag, episode, 0
        if self._with_images:
            (self._folder / IMAGES_FOLDER).mkdir(exist_ok=True)
            file = self._folder / IMAGES_FOLDER / f"episode_{self._number:06d}.parquet"
            # PNG is compressed already.
            self._images = _Table(file, _images_schema(), "none")

    def add(self, step: Step) -> None:
        """See ``StepWriter``."""
        if self._count == 0:
            self._first = step
        self._last = step
        place = {"episode": self._number, "frame": self._count}
        self._frames.add({**place, **_row(step)})
        if self._images is not None:
            frame = step.frame
            bgr = np.asarray(cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2BGR), np.uint8)
            color, depth = self._pool.submit(encode_png, bgr), self._pool.submit(encode_png, frame.depth_mm)
            self._images.add({**place, "stamp_ns": frame.stamp_ns, "color_png": color, "depth_png": depth})
        self._count += 1

    def end(self) -> None:
        """See ``StepWriter``."""
        if self._images is not None:
            self._images.close()
        summary = _summary(self._episode, self._count, self._first, self._last)
        self._episodes.add({"episode": self._number, "bag": self._bag, **summary})
        self._number += 1

    def close(self) -> None:
        """See ``StepWriter``."""
        self._frames.close()
        self._episodes.close()
        self._pool.shutdown()


class _Table:
    """A file to which rows are added, a group at a time. A value may be a future of what will be written."""

    def __init__(self, path: Path, schema: pyarrow.Schema, compression: str = "zstd") -> None:
        import pyarrow.parquet as pq

        self._schema, self._rows = schema, list[dict[str, Any]]()
        self._writer = pq.ParquetWriter(path, schema, compression=compression)
        # Pictures are written soon: a long episode's do not fit into memory.
        self._group = _IMAGE_GROUP if compression == "none" else _ROW_GROUP

    def add(self, row: dict[str, Any]) -> None:
        self._rows.append(row)
        if len(self._rows) == self._group:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._rows:
            rows = [{name: _present(value) for name, value in row.items()} for row in self._rows]
            self._writer.write_table(pa.Table.from_pylist(rows, schema=self._schema))
            self._rows.clear()


def _present(value: Any) -> Any:
    return value.result() if isinstance(value, Future) else value


# -- rows ----------------------------------------------------------------------------------------------------------


def _row(step: Step) -> dict[str, Any]:
    period, joints, goal = step.period, step.joints, step.period.goal
    command = period.command
    goal_m = (None, None, None) if goal is None else goal.position_m.tolist()
    hold = command.hold
    return {
        "stamp_ns": period.stamp_ns,
        "received_ns": period.received_ns,
        "joints_stamp_ns": joints.stamp_ns,
        **_by_joint("position", joints.position),
        **_by_joint("velocity", joints.velocity),
        "finger_position_m": joints.finger_position_m,
        "hold": hold,
        **_by_joint("command_position", None if hold else command.position),
        **_by_joint("command_velocity", None if hold else command.velocity),
        "command_finger_position_m": command.finger_position_m,
        "driver_outcome": period.driver_outcome,
        "goal_frame": None if goal is None else goal.frame_id,
        **dict(zip(("goal_x_m", "goal_y_m", "goal_z_m"), goal_m, strict=True)),
    }


def _by_joint(quantity: str, values: NDArray[np.float64] | None) -> dict[str, float | None]:
    numbers = [None] * ARM.joint_count if values is None else values.tolist()
    return {f"{quantity}.{name}": number for name, number in zip(ARM.joint_names, numbers, strict=True)}


def _summary(episode: Episode, frames: int, first: Step, last: Step) -> dict[str, Any]:
    judgement, camera = episode.judgement, first.camera
    return {
        "frames": frames,
        "first_stamp_ns": first.frame.stamp_ns,
        "last_stamp_ns": last.frame.stamp_ns,
        "outcome": judgement.outcome or None,
        "judge": judgement.judge or None,
        "operator": judgement.operator or None,
        "note": judgement.note or None,
        "seed": judgement.seed,
        "task": episode.task or None,
        "policy_sha256": episode.policy_sha256 or None,
        "width_px": camera.width,
        "height_px": camera.height,
        "fx_px": camera.fx,
        "fy_px": camera.fy,
        "cx_px": camera.cx,
        "cy_px": camera.cy,
    }


def _frames_schema() -> pyarrow.Schema:
    import pyarrow as pa

    joints: Mapping[str, Any] = {
        f"{quantity}.{name}": pa.float64()
        for quantity in ("position", "velocity", "command_position", "command_velocity")
        for name in ARM.joint_names
    }
    measured = {name: kind for name, kind in joints.items() if not name.startswith("command")}
    commanded = {name: kind for name, kind in joints.items() if name.startswith("command")}
    return pa.schema(
        {
            "episode": pa.int64(),
            "frame": pa.int64(),
            "stamp_ns": pa.int64(),
            "received_ns": pa.int64(),
            "joints_stamp_ns": pa.int64(),
            **measured,
            "finger_position_m": pa.float64(),
            "hold": pa.bool_(),
            **commanded,
            "command_finger_position_m": pa.float64(),
            "driver_outcome": pa.string(),
            "goal_frame": pa.string(),
            "goal_x_m": pa.float64(),
            "goal_y_m": pa.float64(),
            "goal_z_m": pa.float64(),
        }
    )


def _images_schema() -> pyarrow.Schema:
    import pyarrow as pa

    whole, binary = pa.int64(), pa.binary()
    return pa.schema({"episode": whole, "frame": whole, "stamp_ns": whole, "color_png": binary, "depth_png": binary})


def _episodes_schema() -> pyarrow.Schema:
    import pyarrow as pa

    texts = ("outcome", "judge", "operator", "note")
    return pa.schema(
        {
            "episode": pa.int64(),
            "bag": pa.string(),
            "frames": pa.int64(),
            "first_stamp_ns": pa.int64(),
            "last_stamp_ns": pa.int64(),
            **{name: pa.string() for name in texts},
            "seed": pa.int64(),
            "task": pa.string(),
            "policy_sha256": pa.string(),
            "width_px": pa.int64(),
            "height_px": pa.int64(),
            **{name: pa.float64() for name in ("fx_px", "fy_px", "cx_px", "cy_px")},
        }
    )
