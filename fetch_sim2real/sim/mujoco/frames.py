"""Pictures of the simulated world, made at once or by a thread of their own.

A frame is needed only when the camera's latency is over, so whoever runs physics against a wall clock lets a thread
render meanwhile. Both ways give the same pixels: a picture follows from the positions at its time, the episode, and
its place in the order of jobs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from fetch_sim2real.common.physics import mujoco
from fetch_sim2real.sim.engine import Rendering
from fetch_sim2real.sim.mujoco.render import RgbdRenderer
from fetch_sim2real.sim.mujoco.scene import CAMERA, DEPTH_CAMERA
from fetch_sim2real.types import FloatArray

T = TypeVar("T")


class RenderThread:
    """Renders one model's camera. The model may be edited only between ``finish`` and the next ``request``.

    OpenGL is opened by the first ``open``: until then the process may still be forked.

    With ``separate_depth`` depth is what the depth sensor sees from its own place: nobody has aligned it to colour.
    """

    def __init__(
        self, model: mujoco.MjModel, size: tuple[int, int], background: bool, separate_depth: bool = False
    ) -> None:
        self._model = model
        self._data = mujoco.MjData(model)
        self._separate_depth = separate_depth
        self._size = size
        self._renderer: RgbdRenderer | None = None
        # An OpenGL context belongs to the thread that made it.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="render") if background else None
        self._last: Future[Any] | None = None

    def open(self) -> None:
        """Finish what was asked for, and be ready for more. ``SetupError`` where no pictures can be made."""
        self.finish()
        if self._renderer is None:
            self._renderer = self._do(RgbdRenderer, self._model, CAMERA, *self._size).result()

    def upload_textures(self, textures: Iterable[int]) -> None:
        """Show the model's present pixels of these textures in the pictures from now on."""
        self._do(self._opened().upload_textures, textures)

    def request(
        self, qpos: FloatArray, depth_qpos: FloatArray | None, develop: Callable[[Rendering], T]
    ) -> Future[T]:
        """Ask for ``develop`` of the picture of the generalised positions ``qpos``, its depth that of ``depth_qpos``
        if given.

        The arrays must not be changed afterwards.
        """
        return self._do(self._make, qpos, depth_qpos, develop)

    def finish(self) -> None:
        """Wait until every picture asked for is made."""
        if self._last is not None:
            self._last.exception()

    def close(self) -> None:
        """Free the OpenGL context."""
        if self._renderer is None or not self._renderer.is_ours:
            return
        self._do(self._renderer.close).result()
        self._renderer = None
        if self._thread is not None:
            self._thread.shutdown()

    def _opened(self) -> RgbdRenderer:
        if self._renderer is None:
            raise RuntimeError("RenderThread.open has not been called, or close has")
        return self._renderer

    def _make(self, qpos: FloatArray, depth_qpos: FloatArray | None, develop: Callable[[Rendering], T]) -> T:
        renderer = self._opened()
        started_s = time.perf_counter()
        self._place(qpos)
        depth_rgb = None
        if self._separate_depth:
            rgb = renderer.render_color(self._data)
            if depth_qpos is not None:
                self._place(depth_qpos)
            depth_rgb, depth_m = renderer.render(self._data, DEPTH_CAMERA)
        elif depth_qpos is not None:
            rgb = renderer.render_color(self._data)
            self._place(depth_qpos)
            depth_m = renderer.render_depth(self._data)
        else:
            rgb, depth_m = renderer.render(self._data)
        return develop(Rendering(rgb, depth_m, depth_rgb, started_s))

    def _place(self, qpos: FloatArray) -> None:
        self._data.qpos[:] = qpos
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_camlight(self._model, self._data)

    def _do(self, call: Callable[..., Any], *arguments: Any) -> Future[Any]:
        if self._renderer is not None:
            self._renderer.require_ours()  # a forked process has no such thread, and would wait for it for ever
        if self._thread is not None:
            self._last = self._thread.submit(call, *arguments)
            return self._last
        done: Future[Any] = Future()
        done.set_result(call(*arguments))
        return done
