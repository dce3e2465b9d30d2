"""Unplanned changes that are only seen: a camera that is bumped, a light that is switched, a hand in the way."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final

import numpy as np

from fetch_sim2real.common.physics import mujoco
from fetch_sim2real.sim.disturbances.conditions import generator
from fetch_sim2real.sim.disturbances.faults import direction
from fetch_sim2real.sim.disturbances.physical import Stage, begin_s
from fetch_sim2real.sim.mujoco.scene import CAMERA, LIGHTS, PASSERS
from fetch_sim2real.sim.randomization.sample import small_rotation
from fetch_sim2real.types import FloatArray


class _SceneChange(ABC):
    """A change of the model that is made once, when its time has come."""

    def __init__(self, stage: Stage, rng: np.random.Generator) -> None:
        self._stage = stage
        self._begin_s = begin_s(stage, rng)
        self._over = False

    def act(self, now_s: float) -> None:
        if self._over or now_s < self._begin_s:
            return
        self._over = True
        self._stage.before_edit()
        self._change(self._stage.model)

    @abstractmethod
    def _change(self, model: mujoco.MjModel) -> None:
        """Make it."""


class CameraBump(_SceneChange):
    """The camera's pose jumps by 0.5 to 1 cm and a degree, and stays. The stack is not told."""

    _SHIFT_M: Final = (0.005, 0.010)
    _TURN_RAD: Final = float(np.deg2rad(1.0))

    def __init__(self, stage: Stage) -> None:
        rng = generator(stage.draw.seed, "bump_camera")
        super().__init__(stage, rng)
        self._shift_m = float(rng.uniform(*self._SHIFT_M)) * direction(rng)
        self._turn = small_rotation(self._TURN_RAD * direction(rng))

    def _change(self, model: mujoco.MjModel) -> None:
        camera = model.camera(CAMERA).id
        model.cam_pos[camera] += self._shift_m
        rotation = np.zeros(9)
        mujoco.mju_quat2Mat(rotation, model.cam_quat[camera])
        mujoco.mju_mat2Quat(model.cam_quat[camera], (rotation.reshape(3, 3) @ self._turn).ravel())


class LightSwitch(_SceneChange):
    """A lamp is switched: half of the time the main one goes down to a third, else the second one goes on or off."""

    _DIMMED: Final = 0.33
    _DIFFUSE: Final = 0.5

    def __init__(self, stage: Stage) -> None:
        rng = generator(stage.draw.seed, "switch_light")
        super().__init__(stage, rng)
        self._dims = bool(rng.random() < 0.5)
        sideways = rng.uniform(-0.9, 0.9, 2)
        self._direction: FloatArray = np.array([*sideways, -1.0]) / np.linalg.norm([*sideways, -1.0])

    def _change(self, model: mujoco.MjModel) -> None:
        main, second = (model.light(name).id for name in LIGHTS)
        if self._dims:
            model.light_diffuse[main] *= self._DIMMED
        elif model.light_active[second]:
            model.light_active[second] = False
        else:
            model.light_active[second] = True
            model.light_dir[second] = self._direction
            model.light_diffuse[second] = self._DIFFUSE
            model.light_ambient[second] = model.light_specular[second] = 0.0
            model.light_castshadow[second] = False


class PassingHand:
    """A hand on a forearm passes between camera and object, level and across the line of sight. It touches nothing."""

    _SPEED_M_S: Final = (0.35, 0.60)
    # Where it crosses the line of sight, as a share of the way from object to camera; how far it goes to each side.
    _SHARE: Final = (0.22, 0.32)
    _REACH_M: Final = 0.45
    _SKIN_RGBA: Final = (0.80, 0.60, 0.48, 1.0)
    _HAND_HALF_M: Final = (0.05, 0.025, 0.095)
    _ARM_RADIUS_M, _ARM_HALF_M = 0.035, 0.15

    def __init__(self, stage: Stage) -> None:
        rng = generator(stage.draw.seed, "occlude")
        self._stage = stage
        self._begin_s = begin_s(stage, rng)
        self._speed_m_s = float(rng.uniform(*self._SPEED_M_S))
        self._share = float(rng.uniform(*self._SHARE))
        self._side = 1.0 if rng.random() < 0.5 else -1.0
        self._hand, self._arm = (stage.model.geom(name).id for name in PASSERS)
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
        self._stage.before_edit()
        model = self._stage.model
        if at_m > self._REACH_M:
            model.geom_rgba[[self._hand, self._arm], 3] = 0.0
            self._over = True
            return
        hand_m = self._crosses_m + at_m * self._across
        model.geom_pos[self._hand] = hand_m
        # The forearm follows behind the hand, slightly raised.
        behind = -self._across + np.array([0.0, 0.0, 0.25])
        length_m = self._HAND_HALF_M[2] + self._ARM_HALF_M
        model.geom_pos[self._arm] = hand_m + behind / np.linalg.norm(behind) * length_m

    def _appear(self) -> None:
        """Begin on one side, as seen from the camera, at the height that hides where the object is now."""
        stage, model = self._stage, self._stage.model
        self._stage.before_edit()
        block_m = stage.truth().object_m
        sight = stage.draw.camera.position_m - block_m
        self._crosses_m = block_m + self._share * sight
        across = np.cross(sight, [0.0, 0.0, 1.0])
        self._across = self._side * across / np.linalg.norm(across)
        along_path = _turn_z_to(self._across)
        model.geom_type[self._hand] = mujoco.mjtGeom.mjGEOM_ELLIPSOID
        model.geom_size[self._hand] = self._HAND_HALF_M
        model.geom_rbound[self._hand] = max(self._HAND_HALF_M)
        model.geom_type[self._arm] = mujoco.mjtGeom.mjGEOM_CAPSULE
        model.geom_size[self._arm] = [self._ARM_RADIUS_M, self._ARM_HALF_M, 0.0]
        model.geom_rbound[self._arm] = self._ARM_RADIUS_M + self._ARM_HALF_M
        model.geom_quat[self._hand] = along_path
        model.geom_quat[self._arm] = _turn_z_to(self._across - np.array([0.0, 0.0, 0.25]))
        model.geom_rgba[[self._hand, self._arm]] = self._SKIN_RGBA


def _turn_z_to(axis: FloatArray) -> FloatArray:
    """Quaternion (4,) that turns z to ``axis`` (3,)."""
    quaternion = np.zeros(4)
    mujoco.mju_quatZ2Vec(quaternion, axis / np.linalg.norm(axis))
    return quaternion
