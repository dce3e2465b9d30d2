"""Colour and depth of a camera in one render pass."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.common.physics import mujoco
from fetch_sim2real.sim.mujoco.gl import open_context
from fetch_sim2real.sim.mujoco.scene import BACKDROP_GROUP


class RgbdRenderer:
    """Renders named cameras at ``width`` x ``height``, ``camera`` if no other is asked for. One per model, process and
    thread; call ``close`` when done."""

    def __init__(self, model: mujoco.MjModel, camera: str, width: int, height: int) -> None:
        """Raises ``SetupError`` where OpenGL cannot be opened."""
        self._model = model
        self._gl = open_context(width, height)
        self._scene = mujoco.MjvScene(model, maxgeom=200)
        self._front, self._backdrop = mujoco.MjvOption(), mujoco.MjvOption()
        self._front.geomgroup[BACKDROP_GROUP] = 0
        self._backdrop.geomgroup[:] = 0
        self._backdrop.geomgroup[BACKDROP_GROUP] = 1
        self._perturb = mujoco.MjvPerturb()
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        # 0 at the far plane, 1 at the near one: keeps float32's precision where the table is.
        self._context.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR
        self._view = mujoco.MjvCamera()
        self._view.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._camera = camera
        self._viewport = mujoco.MjrRect(0, 0, width, height)
        self._rgb = np.empty((height, width, 3), np.uint8)
        self._depth = np.empty((height, width), np.float32)

    @property
    def platform(self) -> str:
        """What OpenGL was opened with."""
        return self._gl.platform

    @property
    def is_ours(self) -> bool:
        """False in a process forked from the one that made it, where it is of no use."""
        return self._gl.is_ours

    def require_ours(self) -> None:
        """Raise ``SetupError`` where it is of no use."""
        self._gl.require_ours()

    def render(
        self, data: mujoco.MjData, camera: str | None = None
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Render colour (H, W, 3) uint8 and depth (H, W) float32 [m] along the optical axis of the present state."""
        self._draw(data, camera)
        mujoco.mjr_readPixels(self._rgb, self._depth, self._viewport, self._context)
        return self._upright_color(), self._upright_depth_m()

    def render_color(self, data: mujoco.MjData) -> NDArray[np.uint8]:
        """Render only the colour of ``render``."""
        self._draw(data)
        mujoco.mjr_readPixels(self._rgb, None, self._viewport, self._context)
        return self._upright_color()

    def render_depth(self, data: mujoco.MjData) -> NDArray[np.float32]:
        """Render only the depth of ``render``, without light, shadows and textures, which are most of a picture's
        cost.
        """
        self._draw_flat(data)
        mujoco.mjr_readPixels(None, self._depth, self._viewport, self._context)
        return self._upright_depth_m()

    def _draw(self, data: mujoco.MjData, camera: str | None = None) -> None:
        self._gl.make_current()
        self._view.fixedcamid = self._model.camera(camera or self._camera).id
        everything = mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_updateScene(self._model, data, self._front, self._perturb, self._view, everything, self._scene)
        mujoco.mjv_addGeoms(self._model, data, self._backdrop, self._perturb, everything, self._scene)
        mujoco.mjr_render(self._viewport, self._scene, self._context)

    def _draw_flat(self, data: mujoco.MjData) -> None:
        """Every geom in one colour, which is its place in the scene plus one."""
        flags = (mujoco.mjtRndFlag.mjRND_SEGMENT, mujoco.mjtRndFlag.mjRND_IDCOLOR)
        for flag in flags:
            self._scene.flags[flag] = True
        self._draw(data)
        for flag in flags:
            self._scene.flags[flag] = False

    # OpenGL's rows go from the bottom up.

    def _upright_color(self) -> NDArray[np.uint8]:
        return np.ascontiguousarray(self._rgb[::-1])

    def _upright_depth_m(self) -> NDArray[np.float32]:
        extent = self._model.stat.extent
        near, far = self._model.vis.map.znear * extent, self._model.vis.map.zfar * extent
        # The buffer holds z = a / depth - b with z(near) = 1 and z(far) = 0.
        a, b = near * far / (far - near), near / (far - near)
        depth_m = (a / (self._depth + b)).astype(np.float32)
        return np.ascontiguousarray(depth_m[::-1])

    def render_geoms(self, data: mujoco.MjData) -> NDArray[np.int32]:
        """Render which geom (H, W) each pixel shows in the present state, by its id; -1 for none."""
        self._draw_flat(data)
        mujoco.mjr_readPixels(self._rgb, None, self._viewport, self._context)
        # Each pixel's colour is one more than the place in the scene of what it shows; black is nothing.
        place = self._rgb[::-1].astype(np.int32) @ np.array([1, 256, 65536], np.int32)
        ids = [-1] * (self._scene.ngeom + 1)
        for geom in self._scene.geoms[: self._scene.ngeom]:
            if geom.objtype == mujoco.mjtObj.mjOBJ_GEOM and 0 <= geom.segid < self._scene.ngeom:
                ids[geom.segid + 1] = geom.objid
        return np.array(ids, np.int32)[place]

    def upload_textures(self, textures: Iterable[int]) -> None:
        """Show the model's present pixels of these textures, given by their ids."""
        self._gl.make_current()
        for texture in textures:
            mujoco.mjr_uploadTexture(self._model, self._context, texture)

    def close(self) -> None:
        """Free the OpenGL context."""
        if self.is_ours:
            self._context.free()
            self._gl.free()
