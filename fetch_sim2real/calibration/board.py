"""The ChArUco board: what it is, how to print it, and where its corners are in a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.errors import CalibrationError
from fetch_sim2real.types import FloatArray

_DICTIONARY: Final = cv2.aruco.DICT_4X4_50
MIN_CORNERS: Final = 6
_MM_PER_INCH: Final = 25.4
_MARGIN_SQUARES: Final = 0.2


@dataclass(frozen=True)
class BoardSpec:
    """A ChArUco board of ``columns`` x ``rows`` squares with markers of OpenCV's DICT_4X4_50 in the white ones.

    Its frame, OpenCV's: origin at the outer corner of the top left square, x to the right, y down as printed, so z
    points into the paper. All lengths in metres.
    """

    columns: int = 5
    rows: int = 4
    square_m: float = 0.05
    marker_m: float = 0.038

    def __post_init__(self) -> None:
        if self.columns < 3 or self.rows < 3 or not 0 < self.marker_m < self.square_m:
            raise CalibrationError(
                f"a board of {self.columns}x{self.rows} squares of {self.square_m} m with markers of {self.marker_m} m "
                "cannot be: at least 3x3 squares, and markers smaller than squares"
            )
        if self.columns * self.rows // 2 > 50:
            raise CalibrationError(f"{self.columns}x{self.rows} squares need more than the dictionary's 50 markers")

    def opencv(self) -> Any:
        """Return OpenCV's board."""
        dictionary = cv2.aruco.getPredefinedDictionary(_DICTIONARY)
        return cv2.aruco.CharucoBoard((self.columns, self.rows), self.square_m, self.marker_m, dictionary)

    def corners_m(self) -> FloatArray:
        """Return the inner corners (n, 3) in the board's frame, by their ids."""
        return np.asarray(self.opencv().getChessboardCorners(), dtype=np.float64)


@dataclass(frozen=True)
class SeenBoard:
    """Corners found in one picture: their places on the board (n, 3) [m] and in the picture (n, 2) [px]."""

    name: str
    points_m: FloatArray
    pixels: FloatArray


def find_board(rgb: NDArray[np.uint8], board: BoardSpec, name: str) -> SeenBoard:
    """Return the board in a picture (H, W, 3).

    ``name`` is what messages call it. CalibrationError if it is not seen well.
    """
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    corners, ids, _, markers = cv2.aruco.CharucoDetector(board.opencv()).detectBoard(grey)
    # Both are None where nothing is found, whatever OpenCV's type stubs say.
    found, seen = (len(items) if items is not None else 0 for items in (ids, markers))  # type: ignore[redundant-expr]
    if found < MIN_CORNERS:
        raise CalibrationError(
            f"{name}: {found} corners of the board found ({seen} markers), expected "
            f"at least {MIN_CORNERS}. Check the board's options; bring it nearer, into the light and flat, or use a "
            "camera profile with more pixels (a marker should be 15 pixels wide or more)"
        )
    chosen = np.asarray(ids).ravel()
    return SeenBoard(name, board.corners_m()[chosen], np.asarray(corners, dtype=np.float64).reshape(-1, 2))


def board_picture(board: BoardSpec, dots_per_inch: int = 300) -> NDArray[np.uint8]:
    """Return the board for printing (H, W) uint8, with a white margin; measure the squares of the print."""
    square_px = round(board.square_m * 1000 / _MM_PER_INCH * dots_per_inch)
    picture = board.opencv().generateImage((board.columns * square_px, board.rows * square_px), marginSize=0)
    margin = round(_MARGIN_SQUARES * square_px)
    return np.asarray(cv2.copyMakeBorder(picture, *(margin,) * 4, cv2.BORDER_CONSTANT, value=255), dtype=np.uint8)
