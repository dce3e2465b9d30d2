"""``fetch-sim2real calibrate-camera``: the camera's pose in base_link, from pictures of a board."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer
from numpy import uint8
from numpy.typing import NDArray

from fetch_sim2real.bags.reading import open_bag
from fetch_sim2real.calibration.bag_source import snapshots_at, snapshots_at_rest
from fetch_sim2real.calibration.board import BoardSpec, SeenBoard, board_picture, find_board
from fetch_sim2real.calibration.camera_file import (
    CameraCalibration,
    IntrinsicsRecord,
    Method,
    ResidualRecord,
    load_intrinsics,
    save_calibration,
)
from fetch_sim2real.calibration.snapshot import MeasuredJoints, load_joints, load_rgb
from fetch_sim2real.calibration.solve import (
    Solution,
    board_on_table,
    gripper_pose,
    solve_board_at,
    solve_board_in_gripper,
)
from fetch_sim2real.common.outputs import require_file_place
from fetch_sim2real.common.picture_file import require_picture_place, write_picture
from fetch_sim2real.errors import CalibrationError
from fetch_sim2real.perception.pose_record import PoseRecord
from fetch_sim2real.ros.snapshot_sources import live, tell_losses

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

_BOARD: Final = BoardSpec()
_MAX_POSES: Final = 60
_TABLE_FRAMES: Final = 5
_HELP: Final = """Find the camera's pose in base_link from pictures of a ChArUco board, and write the calibration file.

The board lies on the table at a measured place (--on-table), or the gripper holds it and shows it from many sides. In
a folder, pictures are *.png; with the board in the gripper each needs the joints beside it (view.png, view.yaml).
Without pictures or a bag, a running graph is used (only for a board on the table).

\b
Examples:
  fetch-sim2real calibrate-camera --write-board board.png
  fetch-sim2real calibrate-camera --on-table 0.55 0.10 0.72 180
  fetch-sim2real calibrate-camera --pictures views --intrinsics info.yaml --torso 0.35
  fetch-sim2real calibrate-camera --bag runs/showing/bag
"""


@dataclass(frozen=True)
class _View:
    """A picture (H, W, 3), what messages call it, and the joints of that moment where they are known."""

    name: str
    rgb: NDArray[uint8]
    joints: MeasuredJoints | None


@app.command(help=_HELP)
def calibrate_camera(
    pictures: Annotated[Path | None, typer.Option(help="Folder of PNG pictures; needs --intrinsics.")] = None,
    bag: Annotated[Path | None, typer.Option(help="Bag of the camera's topics and /joint_states.")] = None,
    intrinsics: Annotated[Path | None, typer.Option(help="Calibration file, or a printed CameraInfo.")] = None,
    on_table: Annotated[
        tuple[float, float, float, float] | None,
        typer.Option(help="Board face up: x, y, z [m] of its origin in base_link, direction of its x axis [deg]."),
    ] = None,
    torso: Annotated[float | None, typer.Option(help="Torso height [m], where joints do not tell it.")] = None,
    columns: Annotated[int, typer.Option(help="Squares across.")] = _BOARD.columns,
    rows: Annotated[int, typer.Option(help="Squares down.")] = _BOARD.rows,
    square: Annotated[float, typer.Option(help="Side of a square, as measured on the print [m].")] = _BOARD.square_m,
    marker: Annotated[float, typer.Option(help="Side of a marker [m].")] = _BOARD.marker_m,
    write_board: Annotated[Path | None, typer.Option(help="Only write the board, for printing at 300 dpi.")] = None,
    output: Annotated[Path, typer.Option(help="Calibration file to write.")] = Path("calibration.yaml"),
) -> None:
    board = BoardSpec(columns, rows, square, marker)
    if write_board is not None:
        _write_board(board, write_board)
        return
    require_file_place(output, "--output")
    views, lens = _views(pictures, bag, intrinsics, moving=on_table is None)
    seen = _find_all(views, board)
    if on_table is not None:
        *origin_m, yaw_deg = on_table
        method: Method = "board_on_table"
        boards = [found for _, found in seen]
        solution = solve_board_at(boards, board_on_table(origin_m, math.radians(yaw_deg)), lens)
    else:
        method = "board_in_gripper"
        grippers = [gripper_pose(*_arm_and_torso(look, torso)) for look, _ in seen]
        solution = solve_board_in_gripper([found for _, found in seen], grippers, lens)
    # First what was found: a full disk must not cost it.
    _report(solution)
    save_calibration(_record(solution, lens, method), output)
    typer.echo(f"{output} written. Next: fetch-sim2real check-calibration {output} --policy <policy>")


def _views(
    pictures: Path | None, bag: Path | None, intrinsics: Path | None, moving: bool
) -> tuple[list[_View], IntrinsicsRecord]:
    if pictures is not None and bag is not None:
        raise CalibrationError("--pictures and --bag were both given: give one of them")
    if pictures is not None:
        if intrinsics is None:
            raise CalibrationError("--pictures needs --intrinsics: what `ros2 topic echo --once` prints of camera_info")
        return _from_folder(pictures, moving), load_intrinsics(intrinsics)
    if bag is not None:
        recorded = open_bag(bag)
        snapshots = snapshots_at_rest(recorded, _MAX_POSES) if moving else snapshots_at(recorded, 0.0, _TABLE_FRAMES)
        tell_losses(recorded)
    elif moving:
        raise CalibrationError("a board in the gripper needs --pictures or --bag; for one on the table say --on-table")
    else:
        snapshots = live(_TABLE_FRAMES)
    if not snapshots:
        raise CalibrationError(f"{bag}: no frame in which the arm rested, with colour, depth and joints of its time")
    lens = snapshots[0].intrinsics if intrinsics is None else load_intrinsics(intrinsics)
    views = [_View(f"frame {i}", snapshot.rgb, snapshot.joints) for i, snapshot in enumerate(snapshots, start=1)]
    return views, lens


def _from_folder(folder: Path, moving: bool) -> list[_View]:
    paths = sorted(folder.glob("*.png"))
    if not paths:
        raise CalibrationError(f"{folder} holds no *.png")
    joints = [load_joints(path.with_suffix(".yaml")) if moving else None for path in paths]
    return [_View(path.name, load_rgb(path), known) for path, known in zip(paths, joints, strict=True)]


def _find_all(views: Sequence[_View], board: BoardSpec) -> list[tuple[_View, SeenBoard]]:
    """Pictures in which the board is seen; the others are named. CalibrationError if it is seen in none."""
    found: list[tuple[_View, SeenBoard]] = []
    refused: list[CalibrationError] = []
    for look in views:
        try:
            found.append((look, find_board(look.rgb, board, look.name)))
        except CalibrationError as error:
            refused.append(error)
    if not found:
        raise refused[0]
    for refusal in refused:
        typer.echo(f"left out: {refusal}", err=True)
    return found


def _arm_and_torso(look: _View, torso_m: float | None) -> tuple[NDArray, float]:
    if look.joints is None:
        raise CalibrationError(f"{look.name}: no joints are known")
    measured_m = look.joints.torso_height_m if torso_m is None else torso_m
    if measured_m is None:
        raise CalibrationError(f"{look.name}: the joints do not tell the torso's height, say it with --torso")
    return look.joints.arm_rad, measured_m


def _record(solution: Solution, lens: IntrinsicsRecord, method: Method) -> CameraCalibration:
    return CameraCalibration(
        format_version=1,
        base_T_camera=PoseRecord.of(solution.base_T_camera),
        intrinsics=lens,
        date=datetime.date.today(),
        method=method,
        residual=ResidualRecord(rms=solution.residual_px, unit="px", points=solution.points),
    )


def _report(solution: Solution) -> None:
    for name, residual_px in solution.residual_by_picture_px.items():
        typer.echo(f"{name}: {residual_px:.2f} px")
    position = ", ".join(f"{value:.4f}" for value in solution.base_T_camera.position)
    typer.echo(f"camera at {position} m in base_link; {solution.residual_px:.2f} px over {solution.points} corners")


def _write_board(board: BoardSpec, path: Path) -> None:
    require_picture_place(path, "--write-board")
    write_picture(board_picture(board), path)
    size_mm = f"{1000 * board.columns * board.square_m:.0f} x {1000 * board.rows * board.square_m:.0f} mm"
    typer.echo(f"{path}: {size_mm} at 300 dpi. Print it unscaled on something stiff, and measure its squares.")
