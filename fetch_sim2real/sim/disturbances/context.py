"""What every disturbance is given: the episode that it disturbs, and when it begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from fetch_sim2real.perception.camera import Pose
from fetch_sim2real.sim.engine import Engine
from fetch_sim2real.sim.randomization.sample import EpisodeSample
from fetch_sim2real.sim.world_file import World
from fetch_sim2real.types import FloatArray

# Shares of an episode's length between which a change begins.
BEGINS: Final = (0.08, 0.5)


class CameraMount:
    """Where the true camera is: as drawn, bumped once, and drifting."""

    def __init__(self, sample: EpisodeSample, engine: Engine) -> None:
        self._engine = engine
        self._base_T_camera = Pose(sample.camera.position_m, sample.camera.rotation)
        self._drifted: tuple[FloatArray, FloatArray] | None = None

    def bump(self, shift_m: FloatArray, turn: FloatArray) -> None:
        """Move it for good by ``shift_m`` (3,) in base_link, and turn it by ``turn`` (3, 3) in its own frame."""
        pose = self._base_T_camera
        self._base_T_camera = Pose(pose.position + shift_m, pose.rotation @ turn)
        self._place()

    def drift(self, shift_m: FloatArray, turn: FloatArray) -> None:
        """Say how far it has drifted by now, as ``bump`` does."""
        self._drifted = shift_m, turn
        self._place()

    def _place(self) -> None:
        pose = self._base_T_camera
        if self._drifted is not None:
            shift_m, turn = self._drifted
            pose = Pose(pose.position + shift_m, pose.rotation @ turn)
        self._engine.set_camera_pose(pose)


@dataclass(frozen=True)
class DisturbanceContext:
    """The episode that is disturbed: its world, what was drawn for it, the engine that runs it, and the camera."""

    world: World
    sample: EpisodeSample
    engine: Engine
    mount: CameraMount

    @property
    def episode_s(self) -> float:
        return self.world.episode_of(self.sample.task).episode_s

    @property
    def main_object(self) -> str:
        """The name of the object that is moved, shoved or hidden: the one that the task is about."""
        return self.sample.task.main_body

    def object_position_m(self) -> FloatArray:
        """Return where that object (3,) is now."""
        return self.engine.object_state(self.main_object).position_m


class Disturbance(Protocol):
    """One change of one episode."""

    def act(self, now_s: float) -> None:
        """Act if it is time to: called at every joint state (120 Hz), after physics and before pictures, with the time
        [s] since the start."""
        ...


def begin_s(context: DisturbanceContext, rng: np.random.Generator) -> float:
    """Draw when a change begins, since the start of the episode."""
    low, high = BEGINS
    return float(rng.uniform(low, high)) * context.episode_s


