"""Pictures for people: the camera's view of the present moment, the goal marked."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.common.physics import mujoco
from fetch_sim2real.perception.camera import Pose
from fetch_sim2real.sim.mujoco.render import RgbdRenderer
from fetch_sim2real.sim.mujoco.scene import CAMERA
from fetch_sim2real.sim.randomization.sample import EpisodeDraw
from fetch_sim2real.sim.randomization.start import target_goal_m
from fetch_sim2real.sim.simulation import SimWorld

_WIDTH, _HEIGHT = 424, 240
_MARK_COLOR: Final = (255, 220, 0)


class GoalView:
    """Draws one world. ``close`` when done."""

    def __init__(self, sim: SimWorld) -> None:
        self._sim = sim
        self._renderer = RgbdRenderer(sim.model, CAMERA, _WIDTH, _HEIGHT)
        # Its own: drawing must not change what physics goes on from.
        self._data = mujoco.MjData(sim.model)
        self._painted: EpisodeDraw | None = None

    def draw(self) -> NDArray[np.uint8]:
        """RGB (240, 424, 3) of the true state, without noise and latency."""
        sim = self._sim
        if sim.episode is not self._painted:
            self._renderer.upload_textures(sim.paint_textures())
            self._painted = sim.episode
        self._data.qpos[:] = sim.data.qpos
        mujoco.mj_kinematics(sim.model, self._data)
        mujoco.mj_camlight(sim.model, self._data)
        picture, _ = self._renderer.render(self._data)
        true = sim.episode.camera
        goal_m = target_goal_m(sim.task, sim.block_position_m, sim.episode.goal_m)
        u, v = true.intrinsics(_WIDTH, _HEIGHT).project(Pose(true.position_m, true.rotation).inverse().apply(goal_m))
        if np.isfinite(u) and np.isfinite(v):
            cv2.drawMarker(picture, (round(u), round(v)), _MARK_COLOR, cv2.MARKER_CROSS, 14, 2)
        return picture

    def close(self) -> None:
        """Free the OpenGL context."""
        self._renderer.close()
