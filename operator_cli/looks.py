"""Where a command's snapshot comes from: files, a bag, or the running graph."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import typer

from fetch_sim2real.calibration.bag_source import snapshots_at
from fetch_sim2real.calibration.camera_file import load_intrinsics
from fetch_sim2real.calibration.snapshot import Snapshot, combined, load_depth_mm, load_joints, load_rgb
from fetch_sim2real.errors import CalibrationError
from fetch_sim2real.stop_request import StopRequest, StopRequestedError

LIVE_LIMIT_S: Final = 10.0


def look(
    *,
    color: Path | None,
    depth: Path | None,
    joints: Path | None,
    intrinsics: Path | None,
    bag: Path | None,
    at_s: float,
    frames: int,
) -> Snapshot:
    """One snapshot, of several frames where there are. CalibrationError if the sources do not go together."""
    files = {"--color": color, "--depth": depth, "--joints": joints, "--intrinsics": intrinsics}
    missing = [name for name, path in files.items() if path is None]
    if bag is not None:
        if len(missing) < len(files):
            raise CalibrationError(f"a bag was given and files too ({', '.join(files)}): give one of them")
        return combined(snapshots_at(bag, at_s, frames))
    if color is not None and depth is not None and joints is not None and intrinsics is not None:
        return Snapshot(load_rgb(color), load_depth_mm(depth), load_intrinsics(intrinsics), load_joints(joints))
    if len(missing) < len(files):
        raise CalibrationError(f"{', '.join(missing)} missing: files are needed for all of {', '.join(files)}")
    return combined(live(frames))


def live(frames: int) -> list[Snapshot]:
    """Snapshots of the running graph."""
    # Imported here: files and bags need no ROS.
    from operator_cli.live_snapshot import live_snapshots

    try:
        with StopRequest() as stop:
            return live_snapshots(frames, LIVE_LIMIT_S, stop.check)
    except StopRequestedError as stopped:
        raise typer.Exit(128 + stopped.signal_number) from None
