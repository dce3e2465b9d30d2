"""``fetch-sim2real align-camera``: is the camera where the policy expects it? Looks at the arm, needs no board."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer

from fetch_sim2real.calibration.align import Alignment, Sight, align
from fetch_sim2real.calibration.camera_file import (
    CameraCalibration,
    ResidualRecord,
    save_calibration,
)
from fetch_sim2real.calibration.expected_view import ExpectedView, Setting
from fetch_sim2real.calibration.overlay import overlay_picture
from fetch_sim2real.calibration.snapshot import Snapshot
from fetch_sim2real.calibration.trained_range import judge, report_lines
from fetch_sim2real.common.outputs import Attempts, require_file_place
from fetch_sim2real.common.picture_file import require_picture_place, write_picture
from fetch_sim2real.paths import find_policy, worlds_dir
from fetch_sim2real.perception.camera import CameraModel, Pose
from fetch_sim2real.perception.pose_record import PoseRecord
from fetch_sim2real.perception.preprocess import crop_window
from fetch_sim2real.policy.bundle import load_bundle
from fetch_sim2real.ros.snapshot_sources import Files, look
from fetch_sim2real.sim.world_file import World, load_world

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

_WORLD: Final = "nominal"
_PICTURE: Final = Path("alignment.png")
_HELP: Final = """Draw what the policy expects to see over the live picture, and measure how far the camera is off.

Robot, table and block are rendered from the camera's pose in the policy bundle, at the measured joints, and compared
with the measured depth. Without files or a bag, a running graph is used. The arm must rest, within the picture.
Several poses of the arm, which share one camera, are taken together: --poses, or files given again.
The exit status is 0 if the camera is inside the trained range, 1 if it is outside or the picture does not tell.

\b
Examples:
  fetch-sim2real align-camera --policy push
  fetch-sim2real align-camera --bag runs/20260504-101500/bag --at 2.5
  fetch-sim2real align-camera --poses 4
  fetch-sim2real align-camera --color c.png --depth d.png --joints j.yaml --intrinsics info.yaml --block 0.62 0.10 0
"""


@app.command(help=_HELP)
def align_camera(
    policy: Annotated[str, typer.Option(help="Name of a shipped policy, or folder of a bundle.")] = "push",
    color: Annotated[
        list[Path] | None, typer.Option(help="Colour picture (PNG) instead of a live one. Again for each pose.")
    ] = None,
    depth: Annotated[
        list[Path] | None, typer.Option(help="Depth aligned to it: 16 bit PNG in millimetres. As often.")
    ] = None,
    joints: Annotated[
        list[Path] | None, typer.Option(help="YAML of joint positions, or a printed JointState. As often.")
    ] = None,
    intrinsics: Annotated[
        Path | None, typer.Option(help="Calibration file, or a printed CameraInfo. Only with --color.")
    ] = None,
    bag: Annotated[Path | None, typer.Option(help="Bag instead of a live graph.")] = None,
    at: Annotated[float, typer.Option(min=0.0, help="Time in the bag [s] since its first frame.")] = 0.0,
    frames: Annotated[
        int, typer.Option(min=1, max=100, help="Frames whose depths are combined; the arm must rest meanwhile.")
    ] = 5,
    poses: Annotated[
        int,
        typer.Option(
            min=1, max=20, help="Poses of the arm, taken together: live one after the other, of a bag those at rest."
        ),
    ] = 1,
    table_height: Annotated[
        float | None, typer.Option(help="Measured height of the table top [m]. Not given: it is estimated.")
    ] = None,
    block: Annotated[
        tuple[float, float, float] | None, typer.Option(help="Block's x, y [m] in base_link and yaw [deg].")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Picture to write.", show_default=str(_PICTURE))] = None,
    write: Annotated[Path | None, typer.Option(help="Also write the estimate as a calibration file.")] = None,
) -> None:
    if picture is not None:
        require_picture_place(picture, "--picture")
    if write is not None:
        require_file_place(write, "--write")
    manifest = load_bundle(find_policy(policy)).manifest
    files = Files(color or (), depth or (), joints or (), intrinsics)
    snapshots = look(files, bag, at_s=at, frames=frames, poses=poses, next_pose=lambda number: _ask(number, poses))
    camera, nominal = snapshots[0].intrinsics.camera(), manifest.camera.base_T_camera.pose()
    crop_window(camera, manifest.observation.image)
    world = load_world(_WORLD, worlds_dir())
    settings = [_setting(snapshot, manifest.torso_height_m, block) for snapshot in snapshots]
    height_m = world.workcell.table.height_m.middle if table_height is None else table_height
    with _expected_views(world, settings, camera) as views:
        sights = [Sight(snapshot.depth_mm, view.render) for snapshot, view in zip(snapshots, views, strict=True)]
        found = align(sights, camera, nominal, height_m, table_height is not None)
        expected = [
            [
                ("as the policy was trained (nominal camera)", view.render(nominal, height_m)),
                ("at the pose that fits best", view.render(found.base_T_camera, found.table_height_m)),
            ]
            for view in views
        ]
    verdict = judge(manifest.camera, found.base_T_camera)
    doubts = found.doubts()
    doubt_lines = [f"doubtful: {doubt}" for doubt in doubts]
    for line in [*_fit_lines(found, len(snapshots)), *report_lines(verdict), *doubt_lines]:
        typer.echo(line)
    if write is not None and not doubts:
        save_calibration(_as_calibration(found, snapshots[0]), write)
        typer.echo(f"calibration: {write}")
    place, attempts = picture or _PICTURE, Attempts(lambda text: typer.echo(text, err=True))

    def draw() -> None:
        write_picture(np.vstack([overlay_picture(*each) for each in zip(snapshots, expected, strict=True)]), place)
        typer.echo(f"picture: {place}")

    attempts.make(f"the picture {place}", draw, asked=picture is not None)
    if doubts or not verdict.inside or attempts.failed:
        raise typer.Exit(1)


def _ask(number: int, poses: int) -> None:
    typer.prompt(f"Pose {number} of {poses}: move the arm, let it rest, then Enter", default="", show_default=False)


def _setting(snapshot: Snapshot, trained_torso_m: float, block: tuple[float, float, float] | None) -> Setting:
    x, y, yaw_deg = block if block is not None else (0.0, 0.0, 0.0)
    return Setting(
        arm_rad=snapshot.joints.arm_rad,
        finger_m=max(snapshot.joints.finger_m or 0.0, 0.0),
        torso_height_m=_torso_m(snapshot, trained_torso_m),
        block_xy_m=None if block is None else (x, y),
        block_yaw_rad=math.radians(yaw_deg),
    )


@contextmanager
def _expected_views(world: World, settings: Sequence[Setting], camera: CameraModel) -> Iterator[list[ExpectedView]]:
    """A view for each setting; all are closed in the end."""
    with ExitStack() as resources:
        views = []
        for setting in settings:
            views.append(ExpectedView(world, setting, camera))
            resources.callback(views[-1].close)
        yield views


def _torso_m(snapshot: Snapshot, trained_m: float) -> float:
    """The measured torso height if joint states tell it, else the trained one."""
    measured_m = snapshot.joints.torso_height_m
    return trained_m if measured_m is None else measured_m


def _fit_lines(found: Alignment, poses: int) -> list[str]:
    sigma_mm = ", ".join(f"{1000 * sigma:.1f}" for sigma in found.sigma_m)
    return [
        f"depth fits to {1000 * found.rms_m:.1f} mm (root mean square) over {found.pixels} pixels"
        f"{f' of {poses} poses' if poses > 1 else ''}, "
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
