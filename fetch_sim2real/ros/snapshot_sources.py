"""Where a command's snapshots come from: files, a bag, or the running graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import typer

from fetch_sim2real.bags.reading import RecordedBag, open_bag
from fetch_sim2real.calibration.bag_source import poses_at_rest, snapshots_at
from fetch_sim2real.calibration.camera_file import load_intrinsics
from fetch_sim2real.calibration.snapshot import (
    NEXT_POSE_RAD,
    Snapshot,
    combined,
    is_new_pose,
    load_depth_mm,
    load_joints,
    load_rgb,
)
from fetch_sim2real.common.stop_request import StopRequest, StopRequestedError
from fetch_sim2real.errors import CalibrationError

LIVE_LIMIT_S: Final = 10.0


@dataclass(frozen=True)
class Files:
    """Files of one look or several, in one order; ``intrinsics`` are of all."""

    color: Sequence[Path]
    depth: Sequence[Path]
    joints: Sequence[Path]
    intrinsics: Path | None

    @property
    def _by_option(self) -> dict[str, Sequence[Path]]:
        lens = () if self.intrinsics is None else (self.intrinsics,)
        return {"--color": self.color, "--depth": self.depth, "--joints": self.joints, "--intrinsics": lens}

    @property
    def missing(self) -> list[str]:
        """Options that were not given."""
        return [option for option, paths in self._by_option.items() if not paths]

    @property
    def are_given(self) -> bool:
        """Whether any was."""
        return len(self.missing) < len(self._by_option)

    def load(self) -> list[Snapshot]:
        """Return one snapshot for each picture; CalibrationError if they do not go together."""
        counts = [len(self.color), len(self.depth), len(self.joints)]
        if self.intrinsics is None or not all(counts):
            raise CalibrationError(
                f"{', '.join(self.missing)} missing: files are needed for all of {', '.join(self._by_option)}"
            )
        if len(set(counts)) > 1:
            raise CalibrationError(
                f"--color was given {counts[0]} times, --depth {counts[1]}, --joints {counts[2]}: each pose of the arm "
                "needs one of each"
            )
        lens = load_intrinsics(self.intrinsics)
        return [
            Snapshot(load_rgb(color), load_depth_mm(depth), lens, load_joints(joints))
            for color, depth, joints in zip(self.color, self.depth, self.joints, strict=True)
        ]


def look(
    files: Files, bag: Path | None, *, at_s: float, frames: int, poses: int, next_pose: Callable[[int], None]
) -> list[Snapshot]:
    """Return a snapshot, of several frames where there are, for each of ``poses`` poses of the arm.

    Before each but the first of a running graph ``next_pose`` is called with its number. CalibrationError if the
    sources do not go together, or the arm did not move in between.
    """
    if bag is not None and files.are_given:
        raise CalibrationError("a bag was given and files too: give one of them")
    if files.are_given:
        found = files.load()
    elif bag is None:
        found = [combined(live(frames))]
        for number in range(2, poses + 1):
            next_pose(number)
            found.append(combined(live(frames)))
    else:
        recorded = open_bag(bag)
        if poses == 1:
            found = [combined(snapshots_at(recorded, at_s, frames))]
        else:
            found = poses_at_rest(recorded, at_s, poses, frames)
        tell_losses(recorded)
        if len(found) < poses:
            raise CalibrationError(
                f"{bag} shows {len(found)} poses of the arm at rest after {at_s:g} s, asked for are {poses}: let it "
                "rest longer, or use fewer poses"
            )
    _require_different(found)
    return found


def tell_losses(bag: RecordedBag) -> None:
    """Say what of the bag could not be read, so far as it was."""
    for loss in bag.losses:
        typer.echo(f"lost: {loss}", err=True)


def _require_different(found: Sequence[Snapshot]) -> None:
    for number, snapshot in enumerate(found[1:], start=2):
        if not is_new_pose(snapshot.joints, found[: number - 1]):
            raise CalibrationError(
                f"look {number} is of a pose of the arm that was seen before: move a joint by more than "
                f"{NEXT_POSE_RAD} rad"
            )
        if snapshot.intrinsics != found[0].intrinsics:
            raise CalibrationError(f"look {number} has other intrinsics than the first: use one camera profile")


def live(frames: int) -> list[Snapshot]:
    """Return snapshots of the running graph."""
    # Imported here: files and bags need no ROS.
    from fetch_sim2real.ros.live_snapshot import live_snapshots

    try:
        with StopRequest() as stop:
            return live_snapshots(frames, LIVE_LIMIT_S, stop.check)
    except StopRequestedError as stopped:
        raise typer.Exit(128 + stopped.signal_number) from None
