"""Something comes between camera and object: it is seen, and touches nothing."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np

from fetch_sim2real.sim.disturbances.conditions import generator
from fetch_sim2real.sim.disturbances.context import DisturbanceContext, begin_s
from fetch_sim2real.sim.engine import VisualShape
from fetch_sim2real.types import FloatArray


class PassingHand:
    """A hand on a forearm passes between camera and object, level and across the line of sight. It touches nothing."""

    _SPEED_M_S: Final = (0.35, 0.60)
    # Where it crosses the line of sight, as a share of the way from object to camera; how far it goes to each side.
    _SHARE: Final = (0.22, 0.32)
    _REACH_M: Final = 0.45
    _SKIN_RGB: Final = (0.80, 0.60, 0.48)
    _HAND_HALF_M: Final = (0.05, 0.025, 0.095)
    _ARM_RADIUS_M, _ARM_HALF_M = 0.035, 0.15

    def __init__(self, context: DisturbanceContext) -> None:
        rng = generator(context.sample.seed, "occlude")
        self._context = context
        self._begin_s = begin_s(context, rng)
        self._speed_m_s = float(rng.uniform(*self._SPEED_M_S))
        self._share = float(rng.uniform(*self._SHARE))
        self._side = 1.0 if rng.random() < 0.5 else -1.0
        self._crosses_m: FloatArray | None = None
        self._across: FloatArray = np.zeros(3)
        self._over = False

    def act(self, now_s: float) -> None:
        if self._over or now_s < self._begin_s:
            return
        if self._crosses_m is None:
            self._appear()
        assert self._crosses_m is not None
        at_m = self._speed_m_s * (now_s - self._begin_s) - self._REACH_M
        if at_m > self._REACH_M:
            self._context.engine.set_visual_shape(0, None)
            self._context.engine.set_visual_shape(1, None)
            self._over = True
            return
        hand_m = self._crosses_m + at_m * self._across
        # The forearm follows behind the hand, slightly raised.
        behind = -self._across + np.array([0.0, 0.0, 0.25])
        length_m = self._HAND_HALF_M[2] + self._ARM_HALF_M
        self._show(0, "ellipsoid", self._HAND_HALF_M, hand_m, self._across)
        arm_half_m = (self._ARM_RADIUS_M, self._ARM_RADIUS_M, self._ARM_HALF_M + self._ARM_RADIUS_M)
        arm_m = hand_m + behind / np.linalg.norm(behind) * length_m
        self._show(1, "capsule", arm_half_m, arm_m, self._across - np.array([0.0, 0.0, 0.25]))

    def _show(
        self,
        index: int,
        shape: Literal["ellipsoid", "capsule"],
        half_m: tuple[float, float, float],
        at_m: FloatArray,
        axis: FloatArray,
    ) -> None:
        shown = VisualShape(shape, half_m, at_m, _turn_z_to(axis), self._SKIN_RGB)
        self._context.engine.set_visual_shape(index, shown)

    def _appear(self) -> None:
        """Begin on one side, as seen from the camera, at the height that hides where the object is now."""
        object_m = self._context.object_position_m()
        sight = self._context.sample.camera.position_m - object_m
        self._crosses_m = object_m + self._share * sight
        across = np.cross(sight, [0.0, 0.0, 1.0])
        self._across = self._side * across / np.linalg.norm(across)


class Hidden:
    """Something stays right between camera and object for a second, wherever that goes: it cannot be seen at all."""

    _HIDDEN_S: Final = 1.0
    _RADIUS_M: Final = 0.075
    _SHARE: Final = 0.25  # of the way from object to camera
    _RGB: Final = (0.55, 0.55, 0.58)

    def __init__(self, context: DisturbanceContext) -> None:
        self._context = context
        self._begin_s = begin_s(context, generator(context.sample.seed, "hide"))
        self._over = False

    def act(self, now_s: float) -> None:
        if self._over or now_s < self._begin_s:
            return
        engine = self._context.engine
        if now_s >= self._begin_s + self._HIDDEN_S:
            engine.set_visual_shape(0, None)
            self._over = True
            return
        object_m = self._context.object_position_m()
        at_m = object_m + self._SHARE * (self._context.sample.camera.position_m - object_m)
        half_m = (self._RADIUS_M, self._RADIUS_M, self._RADIUS_M)
        engine.set_visual_shape(0, VisualShape("ellipsoid", half_m, at_m, np.array([1.0, 0.0, 0.0, 0.0]), self._RGB))


def _turn_z_to(axis: FloatArray) -> FloatArray:
    """Quaternion (4,) wxyz that turns z to ``axis`` (3,), which does not point down."""
    x, y, z = axis / np.linalg.norm(axis)
    quaternion = np.array([1.0 + z, -y, x, 0.0])
    unit: FloatArray = quaternion / np.linalg.norm(quaternion)
    return unit


