"""``fetch-sim2real check-calibration``: is the camera where the policy expects it?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from fetch_sim2real.calibration.camera_file import load_calibration
from fetch_sim2real.calibration.trained_range import judge, report_lines
from fetch_sim2real.paths import find_policy
from fetch_sim2real.perception.preprocess import crop_window
from fetch_sim2real.policy.bundle import load_bundle

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

_HELP: Final = """Compare a camera calibration file with what a policy was trained for.

Says for each axis how far the camera is from its nominal place and whether that lies in the trained range. The exit
status is 0 inside and 1 outside. An image that the policy cannot use (too narrow, too few pixels) is an error.

\b
Example:
  fetch-sim2real check-calibration calibration.yaml --policy push
"""


@app.command(help=_HELP)
def check_calibration(
    file: Annotated[Path, typer.Argument(help="Calibration file, as calibrate-camera writes it.")],
    policy: Annotated[str, typer.Option(help="Name of a shipped policy, or folder of a bundle.")] = "push",
) -> None:
    calibration = load_calibration(file)
    manifest = load_bundle(find_policy(policy)).manifest
    crop_window(calibration.intrinsics.camera(), manifest.observation.image)
    residual = calibration.residual
    typer.echo(
        f"{file}: {calibration.method} on {calibration.date}, residual {residual.rms:.3g} {residual.unit} "
        f"over {residual.points} points; policy {policy}"
    )
    verdict = judge(manifest.camera, calibration.base_T_camera.pose())
    for line in report_lines(verdict):
        typer.echo(line)
    if not verdict.inside:
        raise typer.Exit(1)
