"""Labelled pictures: what a camera showed, and where objects and gripper truly were. The encoder learns from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.perception.preprocess import ImageSpec, preprocess
from fetch_sim2real.sim.sensors.camera_timing import Captured
from fetch_sim2real.sim.simulation import Simulation
from fetch_sim2real.types import FloatArray


@dataclass(frozen=True)
class PoseImages:
    """n labelled images of k objects in storage form: rgb (n, S, S, 3), depth_mm (n, S, S).

    ``objects_m`` (n, k, 3) and ``grip_m`` (n, 3) are true positions in base_link, ``objects_uv`` (n, k, 2) and
    ``grip_uv`` (n, 2) where they appear, in pixels of the S x S image. ``objects_seen`` (n, k) is whether the object's
    surface is what is there. Objects are in the order of the task's bodies.
    """

    rgb: NDArray[np.uint8]
    depth_mm: NDArray[np.uint16]
    objects_m: NDArray[np.float32]
    grip_m: NDArray[np.float32]
    objects_uv: NDArray[np.float32]
    grip_uv: NDArray[np.float32]
    objects_seen: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.rgb)

    def save(self, path: Path) -> None:
        """Write all arrays, so that an interruption leaves no half file."""
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, **{field.name: getattr(self, field.name) for field in fields(self)})
        partial.replace(path)

    @staticmethod
    def load(path: Path) -> PoseImages:
        with np.load(path, allow_pickle=False) as stored:
            return PoseImages(**{field.name: stored[field.name] for field in fields(PoseImages)})

    @staticmethod
    def concatenate(parts: Sequence[PoseImages]) -> PoseImages:
        """Return all of ``parts``, in order."""
        names = [field.name for field in fields(PoseImages)]
        return PoseImages(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})

    def pick(self, index: NDArray[np.intp]) -> PoseImages:
        """Return the images at ``index``."""
        return PoseImages(**{field.name: getattr(self, field.name)[index] for field in fields(PoseImages)})

    def every(self, nth: int) -> PoseImages:
        """Return every ``nth`` image."""
        return self.pick(np.arange(0, len(self), nth))


class ImageAlbum:
    """Gathers labelled images from frames of one world."""

    def __init__(self, sim: Simulation, image: ImageSpec) -> None:
        self._sim = sim
        self._image = image
        self._ideal = image.camera()
        self._rows: list[tuple[NDArray[np.uint8], NDArray[np.uint16], FloatArray, FloatArray]] = []
        self._uv: list[FloatArray] = []
        self._seen: list[list[bool]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, captured: Captured) -> None:
        """Take a frame of the present episode in; one without a picture is passed over."""
        if captured.frame is None:
            return
        picture = preprocess(captured.frame, self._sim.camera_model, self._image)
        truth = captured.truth
        objects_m, grip_m = np.stack([truth.objects_m[name] for name in self._sim.task.bodies]), truth.grip_m
        self._rows.append((picture.rgb, picture.depth_mm, objects_m, grip_m))
        camera = self._sim.episode.camera
        in_camera = (np.vstack([objects_m, grip_m]) - camera.position_m) @ camera.rotation
        uv = self._ideal.project(in_camera)
        self._uv.append(uv)
        placed = zip(uv[:-1], in_camera[:-1, 2], strict=True)
        self._seen.append([_is_there(picture.depth_mm, place_uv, float(depth_m)) for place_uv, depth_m in placed])

    def images(self) -> PoseImages:
        """Return all images so far."""
        rgb, depth, objects_m, grip_m = (np.stack(column) for column in zip(*self._rows, strict=True))
        uv = np.stack(self._uv).astype(np.float32)
        return PoseImages(
            rgb, depth, objects_m.astype(np.float32), grip_m.astype(np.float32), uv[:, :-1].copy(), uv[:, -1].copy(),
            np.array(self._seen),
        )  # fmt: skip


# Around where an object's centre appears, so many pixels to each side; and how far its surface is from its centre at
# most, towards the camera. What is nearer hides it; what is further away than its centre is not it.
_AROUND_PX: Final = 3
_SURFACE_M: Final = (-0.015, 0.055)


def _is_there(depth_mm: NDArray[np.uint16], uv: FloatArray, depth_m: float) -> bool:
    """Whether a picture shows, at one pixel in five around ``uv`` (2,), a surface where that of an object would be with
    its centre at ``depth_m``; holes say nothing."""
    (left, top), size = np.rint(uv).astype(int) - _AROUND_PX, len(depth_mm)
    rows, columns = (slice(max(0, first), max(0, first + 2 * _AROUND_PX + 1)) for first in (top, left))
    if not (0.0 <= uv[0] < size and 0.0 <= uv[1] < size):
        return False
    around_m = depth_mm[rows, columns] / 1e3
    known = around_m > 0.0
    before_m = depth_m - around_m[known]
    low, high = _SURFACE_M
    return bool(known.any() and np.mean((before_m > low) & (before_m < high)) >= 0.2)
