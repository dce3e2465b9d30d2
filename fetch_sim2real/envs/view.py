"""Pictures for people: the camera's view of the present moment, the goal marked."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.perception.camera import Pose
from fetch_sim2real.sim.simulation import Simulation

_WIDTH, _HEIGHT = 424, 240
_MARK_COLOR: Final = (255, 220, 0)


class GoalView:
    """Draws one simulation. ``close`` when done."""

    def __init__(self, sim: Simulation) -> None:
        self._sim = sim
        self._view = sim.engine.view(_WIDTH, _HEIGHT)

    def draw(self) -> NDArray[np.uint8]:
        """Return RGB (240, 424, 3) of the true state, without noise and latency."""
        sim = self._sim
        picture = self._view.picture()
        true = sim.episode.camera
        goal_m = sim.task.goal_in_base(sim.episode.goal_m, sim.objects_m)
        u, v = true.intrinsics(_WIDTH, _HEIGHT).project(Pose(true.position_m, true.rotation).inverse().apply(goal_m))
        if np.isfinite(u) and np.isfinite(v):
            cv2.drawMarker(picture, (round(u), round(v)), _MARK_COLOR, cv2.MARKER_CROSS, 14, 2)
        return picture

    def close(self) -> None:
        """Free the OpenGL context."""
        self._view.close()
