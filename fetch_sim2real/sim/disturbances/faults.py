"""Imperfections that are injected: some change what an episode is made of, some when its frames come."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.sim.disturbances.conditions import Faults, generator
from fetch_sim2real.sim.randomization.sample import CameraDraw, EpisodeDraw, small_rotation
from fetch_sim2real.sim.sensors.frame_times import FrameTimes
from fetch_sim2real.timing import JOINT_STATE_EVERY_STEPS, PHYSICS_STEP_S
from fetch_sim2real.types import FloatArray

# A camera that freezes does so for this many frames, at least and at most.
_FREEZE_FRAMES: Final = (3, 10)
# Nine minutes, more than any episode that is evaluated.
_FRAMES: Final = 2**14
# The least time between two publications.
_LEAST_STEPS: Final = JOINT_STATE_EVERY_STEPS


def with_faults(draw: EpisodeDraw, faults: Faults) -> EpisodeDraw:
    """The episode with the imperfections that stay for all of it."""
    if faults.joint_bias_deg:
        signs = generator(draw.seed, "joint_bias_deg").choice([-1.0, 1.0], len(ARM.joint_names))
        offset = draw.dynamics.joint_offset_rad + np.deg2rad(faults.joint_bias_deg) * signs
        draw = replace(draw, dynamics=replace(draw.dynamics, joint_offset_rad=offset))
    if faults.depth_noise_px:
        noise = float(np.hypot(draw.sensor.depth.noise_px, faults.depth_noise_px))
        depth = replace(draw.sensor.depth, noise_px=noise)
        draw = replace(draw, sensor=replace(draw.sensor, depth=depth))
    if faults.calibration_mm or faults.calibration_deg:
        draw = replace(draw, camera=_displaced(draw, faults))
    return replace(
        draw,
        camera_latency_s=draw.camera_latency_s + faults.extra_latency_ms * 1e-3,
        command_latency_s=draw.command_latency_s + faults.command_latency_ms * 1e-3,
    )


def _displaced(draw: EpisodeDraw, faults: Faults) -> CameraDraw:
    shift = direction(generator(draw.seed, "calibration_mm")) * faults.calibration_mm * 1e-3
    turn = direction(generator(draw.seed, "calibration_deg")) * np.deg2rad(faults.calibration_deg)
    camera = draw.camera
    return replace(camera, position_m=camera.position_m + shift, rotation=camera.rotation @ small_rotation(turn))


def direction(rng: np.random.Generator) -> FloatArray:
    """A unit vector (3,), every direction equally likely."""
    vector = rng.standard_normal(3)
    unit: FloatArray = vector / np.linalg.norm(vector)
    return unit


class FrameFaults:
    """An episode's instants of frames with faults: some come later, some never, some repeat an old picture."""

    def __init__(self, seed: int, faults: Faults, times: FrameTimes, count: int = _FRAMES) -> None:
        """For the first ``count`` frames; those after them have no faults."""
        self._times = times
        self._lost = _lost(seed, faults.drop_share, count)
        self._repeated = _repeated(seed, faults.freeze_share, count)
        self._steps = _late(seed, faults.jitter_ms * 1e-3, times, count) if faults.jitter_ms else None

    def is_lost(self, index: int) -> bool:
        """Whether frame ``index`` never comes."""
        return self._lost is not None and index < len(self._lost) and bool(self._lost[index])

    def is_repeated(self, index: int) -> bool:
        """Whether frame ``index`` shows the picture of the one before."""
        return self._repeated is not None and index < len(self._repeated) and bool(self._repeated[index])

    def next_index(self, index: int) -> int:
        """The first frame from ``index`` on that comes."""
        while self.is_lost(index):
            index += 1
        return index

    def publication_step(self, index: int) -> int:
        """When frame ``index`` is published, if it is."""
        if self._steps is None or index >= len(self._steps):
            return self._times.publication_step(index)
        return int(self._steps[index])


def _late(seed: int, jitter_s: float, times: FrameTimes, count: int) -> NDArray[np.int64]:
    extra = np.rint(generator(seed, "jitter_ms").uniform(0.0, jitter_s, count) / PHYSICS_STEP_S).astype(np.int64)
    steps = np.array([times.publication_step(index) for index in range(count)]) + extra
    # Frames do not overtake each other: one that is late holds up those behind it.
    spacing = np.arange(count) * _LEAST_STEPS
    return np.maximum.accumulate(steps - spacing) + spacing


def _lost(seed: int, share: float, count: int) -> NDArray[np.bool_] | None:
    if not share:
        return None
    lost = generator(seed, "drop_share").random(count) < share
    # The driver's watchdog starts with the first frame.
    lost[0] = False
    return lost


def _repeated(seed: int, share: float, count: int) -> NDArray[np.bool_] | None:
    if not share:
        return None
    rng = generator(seed, "freeze_share")
    least, most = _FREEZE_FRAMES
    # A live frame starts a freeze with this probability, so that in the long run ``share`` of them is frozen.
    start = share / ((1.0 - share) * 0.5 * (least + most))
    repeated = np.zeros(count, np.bool_)
    index = 1
    while index < count:
        length = int(rng.integers(least, most + 1)) if rng.random() < start else 0
        repeated[index : index + length] = True
        index += length + 1
    return repeated
