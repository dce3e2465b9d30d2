"""``fetch-sim2real contact-sheet``: a picture of a world."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from typer.testing import CliRunner

from fetch_sim2real.cli.main import app


def test_the_command_writes_a_tile_for_nominal_and_each_episode(tmp_path: Path) -> None:
    output = tmp_path / "sheet.png"
    arguments = ["contact-sheet", "--episodes", "3", "--seed", "4", "--output", str(output)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    sheet = cv2.imread(str(output))
    assert sheet is not None
    height, width = sheet.shape[0] // 2, sheet.shape[1] // 2
    tiles = [sheet[y : y + height, x : x + width] for y in (0, height) for x in (0, width)]
    # The nominal colour picture is the smoothest: it has no noise.
    roughness = [np.abs(np.diff(tile[20:160, 20:280].astype(int), axis=1)).mean() for tile in tiles]
    assert int(np.argmin(roughness)) == 0
    assert all(np.any(tiles[0] != tile) for tile in tiles[1:])


def test_an_output_that_is_no_picture_is_refused(tmp_path: Path) -> None:
    arguments = ["contact-sheet", "--episodes", "1", "--output", str(tmp_path / "sheet.txt")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1 and ".png or .jpg" in result.output
