"""Drake's pictures, made at once or by a thread of their own."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.sim.drake.options import DrakeOptions
from fetch_sim2real.sim.drake.scene import RenderScene, Shown
from fetch_sim2real.sim.engine import Rendering
from fetch_sim2real.sim.randomization.sample import EpisodeSample
from fetch_sim2real.sim.sensors.depth_camera import COLOR_T_DEPTH, depth_sensor_model
from fetch_sim2real.types import FloatArray
from fetch_sim2real.workcell import WorkcellConfig

T = TypeVar("T")


class Pictures:
    """Renders episodes. What a picture shows is fixed when it is asked for, so that physics and changes go on."""

    def __init__(
        self,
        workcell: WorkcellConfig,
        moving: Sequence[str],
        size: tuple[int, int],
        background: bool,
        separate_depth: bool,
        options: DrakeOptions,
    ) -> None:
        """``moving`` are the bodies that configurations are poses of."""
        self._workcell = workcell
        self._moving = moving
        self._size = size
        self._separate_depth = separate_depth
        self._options = options
        # An OpenGL context belongs to the thread that made it.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="render") if background else None
        self._sample: EpisodeSample | None = None
        self._scene: RenderScene | None = None
        self._built_for: object = None

    def request(
        self,
        sample: EpisodeSample,
        shown: Shown,
        color: FloatArray,
        depth: FloatArray | None,
        develop: Callable[[Rendering], T],
    ) -> Future[T]:
        """Ask for ``develop`` of the picture of the bodies' poses ``color`` (bodies, 3, 4), its depth that of ``depth``
        if given."""
        return self._do(lambda: develop(self._make(sample, shown, color, depth)))

    def for_people(
        self, sample: EpisodeSample, shown: Shown, poses: FloatArray, size: tuple[int, int]
    ) -> NDArray[np.uint8]:
        """Return the camera's colour (H, W, 3) in another size, once it is made."""
        camera = sample.camera.intrinsics(*size)
        return self._do(lambda: self._placed(sample, shown, poses).color(camera, shown.base_T_camera)).result()

    def close(self) -> None:
        """Free the OpenGL context."""
        self._do(self._forget).result()
        if self._thread is not None:
            self._thread.shutdown()

    def _forget(self) -> None:
        self._scene = self._sample = self._built_for = None

    def _make(self, sample: EpisodeSample, shown: Shown, color: FloatArray, depth: FloatArray | None) -> Rendering:
        started_s = time.perf_counter()
        camera, place = sample.camera.intrinsics(*self._size), shown.base_T_camera
        scene = self._placed(sample, shown, color)
        rgb = scene.color(camera, place)
        if depth is not None:
            scene.place(depth, shown)
        if not self._separate_depth:
            return Rendering(rgb, scene.depth_m(camera, place), None, started_s)
        camera, place = depth_sensor_model(*self._size), place @ COLOR_T_DEPTH
        return Rendering(rgb, scene.depth_m(camera, place), scene.color(camera, place), started_s)

    def _placed(self, sample: EpisodeSample, shown: Shown, poses: FloatArray) -> RenderScene:
        """The scene of that episode, made anew where it or its lights have changed."""
        lasting = (shown.lights, [None if each is None else each.half_extents_m for each in shown.passers])
        if self._scene is None or self._sample is not sample or self._built_for != lasting:
            self._forget()
            self._scene = RenderScene(self._workcell, sample, self._moving, shown, self._options)
            self._sample, self._built_for = sample, lasting
        self._scene.place(poses, shown)
        return self._scene

    def _do(self, call: Callable[[], T]) -> Future[T]:
        if self._thread is not None:
            return self._thread.submit(call)
        done: Future[T] = Future()
        done.set_result(call())
        return done
