"""From an RGB-D frame of any camera profile to the square image that the actor was trained on.

The actor's image is defined by angles, not pixels: a square field of view around the optical axis. So a camera of
424x240, of 640x480 and training's own renderer give the same picture of the same scene, up to half a camera pixel
(windows are rounded to whole pixels).

A lens' distortion is judged and corrected within that field of view only: what it does at the edge of the camera's
image nobody sees.

The *storage form* of an image is rgb (S, S, 3) uint8 and depth (S, S) uint16 in mm, 0 where there is no depth: what
a replay buffer or a recording keeps. ``perception.normalize`` turns it into what the first layer sees.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from fetch_sim2real.common.schema import PositiveFloat, Record
from fetch_sim2real.errors import ObservationError
from fetch_sim2real.perception.camera import CameraModel
from fetch_sim2real.types import RgbdFrame

# In pixels of the actor's image, within its field of view. What moves further is another picture than the one that the
# numbers of a good lens explain; 2 of 84 pixels over 35 degrees are 15 mm at a distance of one metre.
MAX_DISTORTION_PX: Final = 2.0
_GRID: Final = 33

Channels = Literal["rgbd", "rgb", "depth"]
CHANNELS: Final[tuple[Channels, ...]] = ("rgbd", "rgb", "depth")


class ImageSpec(Record):
    """The actor's image: size x size pixels over fov_deg x fov_deg, depth clipped to [near, far].

    ``channels`` says what of it the actor sees; the rest is blanked.
    """

    size: Annotated[int, Field(ge=16, le=512)]
    fov_deg: Annotated[float, Field(gt=0, lt=170)]
    depth_near_m: PositiveFloat
    depth_far_m: Annotated[float, Field(gt=0, le=65.0)]  # uint16 millimetres end at 65.535 m
    channels: Channels

    @model_validator(mode="after")
    def _near_before_far(self) -> ImageSpec:
        if self.depth_near_m >= self.depth_far_m:
            raise ValueError(f"depth_near_m {self.depth_near_m} must be less than depth_far_m {self.depth_far_m}")
        return self

    def camera(self) -> CameraModel:
        """Return the ideal camera whose image this is."""
        return CameraModel.from_fovy(self.size, self.size, float(np.deg2rad(self.fov_deg)))


@dataclass(frozen=True)
class Image:
    """One image in storage form: rgb (S, S, 3) uint8, depth_mm (S, S) uint16 with 0 where there is no depth."""

    rgb: NDArray[np.uint8]
    depth_mm: NDArray[np.uint16]


@dataclass(frozen=True)
class CropWindow:
    """The part of a camera's image that the actor sees: pixels [left, left + width) x [top, top + height)."""

    left: int
    top: int
    width: int
    height: int


@lru_cache(maxsize=32)
def crop_window(camera: CameraModel, spec: ImageSpec) -> CropWindow:
    """Return where ``spec``'s field of view lies in ``camera``'s image.

    ObservationError if the camera does not see all of it.
    """
    half = np.tan(np.deg2rad(spec.fov_deg) / 2)
    # Edges in pixel-edge coordinates (0 = left edge of the first pixel): centres are at integers, hence the 0.5.
    edges_u = camera.cx + 0.5 + camera.fx * half * np.array([-1.0, 1.0])
    edges_v = camera.cy + 0.5 + camera.fy * half * np.array([-1.0, 1.0])
    (left, right), (top, bottom) = np.rint(edges_u).astype(int), np.rint(edges_v).astype(int)
    if left < 0 or top < 0 or right > camera.width or bottom > camera.height:
        raise ObservationError(
            f"the policy sees {spec.fov_deg:g} x {spec.fov_deg:g} degrees about the optical axis, which is columns "
            f"{left}..{right} and rows {top}..{bottom} of this camera; its image has columns 0..{camera.width} and "
            f"rows 0..{camera.height}. Use a wider camera profile, or a policy trained with a smaller field of view"
        )
    if right - left < spec.size or bottom - top < spec.size:
        raise ObservationError(
            f"the policy's image is {spec.size}x{spec.size}, and this camera covers its field of view with only "
            f"{right - left}x{bottom - top} pixels. Use a camera profile with more pixels"
        )
    return CropWindow(int(left), int(top), int(right - left), int(bottom - top))


@lru_cache(maxsize=32)
def _depth_indices(window: CropWindow, size: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row (S, 1) and column (1, S) of the camera pixel under the centre of each pixel of the actor's image."""
    # Integers: with twice as many camera pixels every centre falls on the border of two, where rounding would choose.
    centres = 2 * np.arange(size, dtype=np.intp) + 1
    rows = window.top + centres * window.height // (2 * size)
    columns = window.left + centres * window.width // (2 * size)
    return rows[:, None], columns[None, :]


def crop_distortion_px(camera: CameraModel, spec: ImageSpec) -> float:
    """Return by how many pixels of the actor's image the lens moves what the actor sees, at most."""
    if camera.distortion.is_none:
        return 0.0
    half = np.tan(np.deg2rad(spec.fov_deg) / 2)
    line = np.linspace(-half, half, _GRID)
    rays = np.stack(np.meshgrid(line, line), axis=-1)
    moved = np.hypot(*np.moveaxis(camera.distortion.bend(rays) - rays, -1, 0))
    # What is not finite is no small distortion either.
    return float(np.nan_to_num(moved.max(), nan=np.inf) * spec.size / (2 * half))


@lru_cache(maxsize=8)
def _rectification(camera: CameraModel, spec: ImageSpec) -> NDArray[np.float32]:
    """Where in the camera's image each pixel of the crop window is found, (2, H, W): columns, then rows.

    ObservationError if the lens distorts too much, or moves part of the window out of the image.
    """
    window = crop_window(camera, spec)
    moved_px = crop_distortion_px(camera, spec)
    if not moved_px <= MAX_DISTORTION_PX:
        raise ObservationError(
            f"the camera's distortion ({camera.distortion.model}, {list(camera.distortion.coefficients)}) moves what "
            f"the policy sees by up to {moved_px:.1f} of its {spec.size} pixels, expected at most "
            f"{MAX_DISTORTION_PX:g}: use rectified images"
        )
    v, u = np.mgrid[window.top : window.top + window.height, window.left : window.left + window.width]
    rays = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy], axis=-1)
    bent = camera.distortion.bend(rays)
    columns, rows = camera.fx * bent[..., 0] + camera.cx, camera.fy * bent[..., 1] + camera.cy
    if min(columns.min(), rows.min()) < -0.5 or columns.max() > camera.width - 0.5 or rows.max() > camera.height - 0.5:
        raise ObservationError(
            f"the camera's distortion moves what the policy sees ({spec.fov_deg:g} x {spec.fov_deg:g} degrees) out of "
            "its image. Use a wider camera profile, or rectified images"
        )
    return np.stack([columns, rows]).astype(np.float32)


def preprocess(frame: RgbdFrame, camera: CameraModel, spec: ImageSpec) -> Image:
    """Return the actor's image of ``frame`` taken by ``camera`` (depth aligned to colour), in storage form.

    Colour is averaged over the area of each pixel. Depth is picked, never averaged: the mean of a block's and a
    table's depth is a point where there is nothing. Raises ObservationError when frame and camera disagree, or when
    the camera does not cover the actor's field of view, or distorts it too much. Less distortion is taken out.
    """
    expected = (camera.height, camera.width)
    if frame.rgb.shape != (*expected, 3) or frame.rgb.dtype != np.uint8:
        raise ObservationError(
            f"colour image is {frame.rgb.shape} {frame.rgb.dtype}, its camera info says {(*expected, 3)} uint8"
        )
    if frame.depth_mm.shape != expected or frame.depth_mm.dtype != np.uint16:
        raise ObservationError(
            f"depth image is {frame.depth_mm.shape} {frame.depth_mm.dtype}, expected {expected} uint16 [mm] aligned to "
            "the colour image"
        )
    window = crop_window(camera, spec)
    rows, columns = _depth_indices(window, spec.size)
    if camera.distortion.is_none:
        crop = frame.rgb[window.top : window.top + window.height, window.left : window.left + window.width]
    else:
        found = _rectification(camera, spec)
        remapped = cv2.remap(frame.rgb, found[0], found[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        crop = remapped.astype(np.uint8, copy=False)
        columns, rows = np.rint(found[:, rows - window.top, columns - window.left]).astype(np.intp)
    rgb = cv2.resize(crop, (spec.size, spec.size), interpolation=cv2.INTER_AREA)
    return Image(rgb.astype(np.uint8, copy=False), frame.depth_mm[rows, columns])
