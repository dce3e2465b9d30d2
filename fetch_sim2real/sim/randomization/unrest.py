"""What goes on during an episode of its own accord: pushes on arm and object, and what drifts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.common.ranges import Range, Varies, Vector3, draw3
from fetch_sim2real.common.schema import Record
from fetch_sim2real.tasks.base import fixed
from fetch_sim2real.types import FloatArray

_STILL = (fixed(0.0), fixed(0.0), fixed(0.0))


class PushesConfig(Record):
    """Pushes at random times, so many a second: level forces on the wrist, and jolts that change the speed of the main
    object, level too.
    """

    arm_rate_hz: Annotated[Range, Varies(0.0, 10.0)] = fixed(0.0)
    arm_force_n: Annotated[Range, Varies(0.0, 100.0)] = fixed(0.0)
    arm_duration_s: Annotated[Range, Varies(0.0, 5.0)] = fixed(0.2)
    object_rate_hz: Annotated[Range, Varies(0.0, 10.0)] = fixed(0.0)
    object_jolt_m_s: Annotated[Range, Varies(0.0, 2.0)] = fixed(0.0)


class DriftConfig(Record):
    """By how much the camera's true pose and the joints' zeros have moved at the end of an episode, evenly in time.

    The stack is not told.
    """

    camera_position_m: Annotated[Vector3, Varies(-0.1, 0.1)] = _STILL
    camera_rotation_deg: Annotated[Vector3, Varies(-10.0, 10.0)] = _STILL
    joint_offset_deg: Annotated[Range, Varies(-5.0, 5.0)] = fixed(0.0)


@dataclass(frozen=True)
class ArmPushSample:
    """A force (3,) [N] on the wrist between two times [s] since the start."""

    begin_s: float
    end_s: float
    force_n: FloatArray


@dataclass(frozen=True)
class JoltSample:
    """A change (3,) [m/s] of the main object's velocity at a time [s] since the start."""

    at_s: float
    change_m_s: FloatArray


@dataclass(frozen=True)
class UnrestSample:
    """Pushes and jolts in the order of time; what drifts, by the second: camera position (3,) [m/s], rotation vector
    (3,) [rad/s] in its own frame, and joint zeros (n,) [rad/s].
    """

    arm_pushes: tuple[ArmPushSample, ...]
    jolts: tuple[JoltSample, ...]
    camera_m_s: FloatArray
    camera_rad_s: FloatArray
    joints_rad_s: FloatArray


def draw_unrest(pushes: PushesConfig, drift: DriftConfig, episode_s: float, rng: np.random.Generator) -> UnrestSample:
    """Draw what goes on in an episode of ``episode_s``."""
    camera_m, camera_deg = draw3(drift.camera_position_m, rng), draw3(drift.camera_rotation_deg, rng)
    joints_deg = np.array([drift.joint_offset_deg.draw(rng) for _ in ARM.joint_names])
    arm_times = _times(pushes.arm_rate_hz.draw(rng), episode_s, rng)
    object_times = _times(pushes.object_rate_hz.draw(rng), episode_s, rng)
    return UnrestSample(
        arm_pushes=tuple(
            ArmPushSample(at, at + pushes.arm_duration_s.draw(rng), _level(pushes.arm_force_n.draw(rng), rng))
            for at in arm_times
        ),
        jolts=tuple(JoltSample(at, _level(pushes.object_jolt_m_s.draw(rng), rng)) for at in object_times),
        camera_m_s=camera_m / episode_s,
        camera_rad_s=np.deg2rad(camera_deg) / episode_s,
        joints_rad_s=np.deg2rad(joints_deg) / episode_s,
    )


def _times(rate_hz: float, episode_s: float, rng: np.random.Generator) -> list[float]:
    """Draw times of an episode at which something happens, ``rate_hz`` of them a second on the average."""
    count = int(rng.poisson(rate_hz * episode_s))
    return sorted(rng.uniform(0.0, episode_s, count).tolist())


def _level(size: float, rng: np.random.Generator) -> FloatArray:
    """Draw a vector (3,) of that length along the table."""
    angle = rng.uniform(0.0, 2.0 * np.pi)
    return size * np.array([np.cos(angle), np.sin(angle), 0.0])
