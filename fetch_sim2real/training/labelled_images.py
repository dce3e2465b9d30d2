"""Labelled pictures: what a camera showed, and where object and gripper truly were. The encoder learns from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.perception.preprocess import ImageSpec, preprocess
from fetch_sim2real.sim.sensors.camera_timing import Captured
from fetch_sim2real.sim.simulation import Simulation
from fetch_sim2real.types import FloatArray


@dataclass(frozen=True)
class PoseImages:
    """n labelled images in storage form: rgb (n, S, S, 3), depth_mm (n, S, S).

    ``object_m`` and ``grip_m`` (n, 3) are true positions in base_link, ``object_uv`` and ``grip_uv`` (n, 2) where they
    appear, in pixels of the S x S image.
    """

    rgb: NDArray[np.uint8]
    depth_mm: NDArray[np.uint16]
    object_m: NDArray[np.float32]
    grip_m: NDArray[np.float32]
    object_uv: NDArray[np.float32]
    grip_uv: NDArray[np.float32]

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

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, captured: Captured) -> None:
        """Take a frame of the present episode in; one without a picture is passed over."""
        if captured.frame is None:
            return
        picture = preprocess(captured.frame, self._sim.camera_model, self._image)
        object_m, grip_m = captured.truth.objects_m[self._sim.task.main_body], captured.truth.grip_m
        self._rows.append((picture.rgb, picture.depth_mm, object_m, grip_m))
        camera = self._sim.episode.camera
        in_camera = (np.stack([object_m, grip_m]) - camera.position_m) @ camera.rotation
        self._uv.append(self._ideal.project(in_camera))

    def images(self) -> PoseImages:
        """Return all images so far."""
        rgb, depth, object_m, grip_m = (np.stack(column) for column in zip(*self._rows, strict=True))
        uv = np.stack(self._uv).astype(np.float32)
        return PoseImages(
            rgb, depth, object_m.astype(np.float32), grip_m.astype(np.float32), uv[:, 0].copy(), uv[:, 1].copy()
        )
