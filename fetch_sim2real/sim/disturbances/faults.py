"""Imperfections that are injected and stay for an episode. Those of single frames are in ``sensors.camera_timing``."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.sim.disturbances.conditions import Faults, generator
from fetch_sim2real.sim.randomization.sample import CameraSample, EpisodeSample, small_rotation
from fetch_sim2real.types import FloatArray


def with_faults(sample: EpisodeSample, faults: Faults) -> EpisodeSample:
    """Return the episode with the imperfections that stay for all of it."""
    if faults.joint_bias_deg:
        signs = generator(sample.seed, "joint_bias_deg").choice([-1.0, 1.0], len(ARM.joint_names))
        offset = sample.dynamics.joint_offset_rad + np.deg2rad(faults.joint_bias_deg) * signs
        sample = replace(sample, dynamics=replace(sample.dynamics, joint_offset_rad=offset))
    if faults.depth_noise_px:
        noise = float(np.hypot(sample.sensor.depth.noise_px, faults.depth_noise_px))
        depth = replace(sample.sensor.depth, noise_px=noise)
        sample = replace(sample, sensor=replace(sample.sensor, depth=depth))
    if faults.calibration_mm or faults.calibration_deg:
        sample = replace(sample, camera=_displaced(sample, faults))
    return replace(
        sample,
        camera_latency_s=sample.camera_latency_s + faults.extra_latency_ms * 1e-3,
        command_latency_s=sample.command_latency_s + faults.command_latency_ms * 1e-3,
    )


def _displaced(sample: EpisodeSample, faults: Faults) -> CameraSample:
    shift = direction(generator(sample.seed, "calibration_mm")) * faults.calibration_mm * 1e-3
    turn = direction(generator(sample.seed, "calibration_deg")) * np.deg2rad(faults.calibration_deg)
    camera = sample.camera
    return replace(camera, position_m=camera.position_m + shift, rotation=camera.rotation @ small_rotation(turn))


def direction(rng: np.random.Generator) -> FloatArray:
    """Return a unit vector (3,), every direction equally likely."""
    vector = rng.standard_normal(3)
    unit: FloatArray = vector / np.linalg.norm(vector)
    return unit
