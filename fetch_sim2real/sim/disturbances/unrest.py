"""Acts on what a world says goes on during an episode: pushes, jolts, and a camera that drifts."""

from __future__ import annotations

from typing import Final

import numpy as np

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.sim.disturbances.context import Disturbance, DisturbanceContext
from fetch_sim2real.sim.randomization.sample import small_rotation

_WRIST: Final = ARM.joints[-2].link
# The camera is moved once in so many joint states: its pictures come no more often.
_MOVE_EVERY: Final = 4


class ArmPushes:
    """Forces on the wrist; where two come at once, the later one."""

    def __init__(self, context: DisturbanceContext) -> None:
        self._engine = context.engine
        self._pushes = context.sample.unrest.arm_pushes
        self._pushing = False

    def act(self, now_s: float) -> None:
        now = [push for push in self._pushes if push.begin_s <= now_s < push.end_s]
        if now or self._pushing:
            self._engine.push_link(_WRIST, now[-1].force_n if now else np.zeros(3))
        self._pushing = bool(now)


class Jolts:
    """Jumps of the main object's speed."""

    def __init__(self, context: DisturbanceContext) -> None:
        self._context = context
        self._left = list(context.sample.unrest.jolts)

    def act(self, now_s: float) -> None:
        while self._left and self._left[0].at_s <= now_s:
            engine, name = self._context.engine, self._context.main_object
            velocity = engine.object_velocity(name)
            velocity[:3] += self._left.pop(0).change_m_s
            engine.set_object_velocity(name, velocity)


class CameraDrift:
    """Moves the camera's mount evenly in time."""

    def __init__(self, context: DisturbanceContext) -> None:
        self._mount = context.mount
        self._unrest = context.sample.unrest
        self._calls = 0

    def act(self, now_s: float) -> None:
        if self._calls % _MOVE_EVERY == 0:
            self._mount.drift(now_s * self._unrest.camera_m_s, small_rotation(now_s * self._unrest.camera_rad_s))
        self._calls += 1


def make_unrest(context: DisturbanceContext) -> tuple[Disturbance, ...]:
    """Return what is to be called at every joint state of the episode; nothing where its world is at rest."""
    unrest = context.sample.unrest
    acting: list[Disturbance] = []
    if unrest.arm_pushes:
        acting.append(ArmPushes(context))
    if unrest.jolts and context.sample.task.objects:
        acting.append(Jolts(context))
    if unrest.camera_m_s.any() or unrest.camera_rad_s.any():
        acting.append(CameraDrift(context))
    return tuple(acting)
