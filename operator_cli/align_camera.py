"""``fetch-sim2real align-camera``: is the camera where the policy expects it? From one look, without a board."""

from __future__ import annotations

import datetime
import math
from pathlib import Path
from typing import Annotated, Final

import typer

from fetch_sim2real.calibration.align import Alignment, align
from fetch_sim2real.calibration.camera_file import (
    CameraCalibration,
    ResidualRecord,
    save_calibration,
)
from fetch_sim2real.calibration.expected_view import ExpectedView, Setting
from fetch_sim2real.calibration.overlay import overlay_picture
from fetch_sim2real.calibration.snapshot import Snapshot
from fetch_sim2real.calibration.trained_range import judge, report_lines
from fetch_sim2real.evaluation.film_strip import write_picture
from fetch_sim2real.observation.camera import Pose
from fetch_sim2real.observation.preprocess import crop_window
from fetch_sim2real.paths import find_policy, worlds_dir
from fetch_sim2real.policy.bundle import load_bundle
from fetch_sim2real.policy.manifest import PoseRecord
from fetch_sim2real.sim.world_file import load_world
from operator_cli.looks import look

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

_WORLD: Final = "nominal"
_HELP: Final = """Draw what the policy expects to see over the live picture, and measure how far the camera is off.

Robot, table and block are rendered from the camera's pose in the policy bundle, at the measured joints, and compared
with the measured depth. Without files or a bag, a running graph is looked at. The arm must rest, within the picture.
The exit status is 0 if the camera is inside the trained range, 1 if it is outside or the picture does not tell.

\b
Examples:
  fetch-sim2real align-camera --policy push
  fetch-sim2real align-camera --bag runs/20260504-101500/bag --at 2.5
  fetch-sim2real align-camera --color c.png --depth d.png --joints j.yaml --intrinsics info.yaml --block 0.62 0.10 0
"""


@app.command(help=_HELP)
def align_camera(
    policy: Annotated[str, typer.Option(help="Name of a shipped policy, or folder of a bundle.")] = "push",
    color: Annotated[Path | None, typer.Option(help="Colour picture (PNG) instead of a live one.")] = None,
    depth: Annotated[Path | None, typer.Option(help="Depth aligned to it: 16 bit PNG in millimetres.")] = None,
    joints: Annotated[Path | None, typer.Option(help="YAML of joint positions, or a printed JointState.")] = None,
    intrinsics: Annotated[
        Path | None, typer.Option(help="Calibration file, or a printed CameraInfo. Only with --color.")
    ] = None,
    bag: Annotated[Path | None, typer.Option(help="Bag instead of a live graph.")] = None,
    at: Annotated[float, typer.Option(min=0.0, help="Time in the bag [s] since its first frame.")] = 0.0,
    frames: Annotated[
        int, typer.Option(min=1, max=100, help="Frames whose depths are combined; the arm must rest meanwhile.")
    ] = 5,
    table_height: Annotated[
        float | None, typer.Option(help="Measured height of the table top [m]. Not given: it is estimated.")
    ] = None,
    block: Annotated[
        tuple[float, float, float] | None, typer.Option(help="Block's x, y [m] in base_link and yaw [deg].")
    ] = None,
    picture: Annotated[Path, typer.Option(help="Picture to write.")] = Path("alignment.png"),
    write: Annotated[
        Path | None, typer.Option(help="Also write the estimate as a calibration file.")
    ] = None,
) -> None:
    manifest = load_bundle(find_policy(policy)).manifest
    snapshot = look(color=color, depth=depth, joints=joints, intrinsics=intrinsics, bag=bag, at_s=at, frames=frames)
    camera, nominal = snapshot.intrinsics.camera(), manifest.camera.base_T_camera.pose()
    crop_window(camera, manifest.observation.image)
    world = load_world(_WORLD, worlds_dir())
    x, y, yaw_deg = block if block is not None else (0.0, 0.0, 0.0)
    setting = Setting(
        arm_rad=snapshot.joints.arm_rad,
        finger_m=max(snapshot.joints.finger_m or 0.0, 0.0),
        torso_height_m=_torso_m(snapshot, manifest.torso_height_m),
        block_xy_m=None if block is None else (x, y),
        block_yaw_rad=math.radians(yaw_deg),
    )
    expected = ExpectedView(world, setting, camera)
    try:
        height_m = world.table.height_m.middle if table_height is None else table_height
        known = table_height is not None
        found = align(snapshot.depth_mm, camera, nominal, expected.render, height_m, known)
        rows = [
            ("as the policy was trained (nominal camera)", expected.render(nominal, height_m)),
            ("at the pose that fits best", expected.render(found.base_T_camera, found.table_height_m)),
        ]
    finally:
        expected.close()
    write_picture(overlay_picture(snapshot, rows), picture)
    verdict = judge(manifest.camera, found.base_T_camera)
    doubts = found.doubts()
    for line in [*_fit_lines(found), *report_lines(verdict), *(f"doubtful: {doubt}" for doubt in doubts)]:
        typer.echo(line)
    typer.echo(f"picture: {picture}")
    if write is not None and not doubts:
        save_calibration(_as_calibration(found, snapshot), write)
        typer.echo(f"calibration: {write}")
    if doubts or not verdict.inside:
        raise typer.Exit(1)


def _torso_m(snapshot: Snapshot, trained_m: float) -> float:
    """The measured torso height if joint states tell it, else the trained one."""
    measured_m = snapshot.joints.torso_height_m
    return trained_m if measured_m is None else measured_m


def _fit_lines(found: Alignment) -> list[str]:
    sigma_mm = ", ".join(f"{1000 * sigma:.1f}" for sigma in found.sigma_m)
    return [
        f"depth fits to {1000 * found.rms_m:.1f} mm (root mean square) over {found.pixels} pixels, "
        f"{100 * found.fitting_share:.0f} % of those compared",
        f"1 sigma from noise alone: {sigma_mm} mm along x, y, z; joint zeros and the depth's scale add to it",
        f"table top at {1000 * found.table_height_m:.0f} mm",
    ]


def _as_calibration(found: Alignment, snapshot: Snapshot) -> CameraCalibration:
    pose: Pose = found.base_T_camera
    return CameraCalibration(
        format_version=1,
        base_T_camera=PoseRecord.of(pose),
        intrinsics=snapshot.intrinsics,
        date=datetime.date.today(),
        method="depth_alignment",
        residual=ResidualRecord(rms=found.rms_m, unit="m", points=found.pixels),
    )
