"""A re-run in numbers, for JSON, and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fetch_sim2real.arm.kinematics import grip_position
from fetch_sim2real.bags.reading import RecordedBag
from fetch_sim2real.bags.run import RecordedRun
from fetch_sim2real.bags.times import TimeAxis, latency_s, recorded_s, spread_ms
from fetch_sim2real.evaluation.rerun import Compared, Rerun
from fetch_sim2real.policy.bundle import PolicyBundle
from fetch_sim2real.reports.panels import BLUE, ORANGE, RED, Line, Panel, Picture, panels_picture
from fetch_sim2real.timing import CONTROL_PERIOD_S
from fetch_sim2real.types import FloatArray, JointCommand


def summary(
    bag: RecordedBag, run: RecordedRun, bundle: PolicyBundle, rerun_result: Rerun, tolerance: float
) -> dict[str, Any]:
    """Return the comparison for JSON.

    ``differing``: how many commands differ by more than ``tolerance`` [rad, m, rad/s].
    """
    then_s, between = _latency_s(rerun_result.frames)
    unknown = [frame for frame in rerun_result.frames if not frame.is_known]
    differing = rerun_result.differing(tolerance)
    return {
        "bag": str(bag.path),
        "bundle": {
            "task": bundle.manifest.task,
            "sha256": bundle.sha256,
            "recorded_sha256": sorted(run.bundles),
            "same": None if not run.bundles else run.bundles == {bundle.sha256},
        },
        "commands": {
            "compared": len(rerun_result.frames) - len(unknown),
            "bit_exact": sum(frame.difference == 0.0 for frame in rerun_result.frames if frame.is_known),
            "tolerance": tolerance,
            "differing": differing,
            "largest_difference": rerun_result.largest_difference,
            "memory_unknown": len(unknown),
            "memory_unknown_largest_difference": max((frame.difference for frame in unknown), default=0.0),
        },
        "left_out": dict(sorted(rerun_result.left_out.items())),
        "latency_ms": {
            "then": spread_ms(then_s),
            "then_between": between,
            "inference_now": spread_ms(np.array([frame.inference_s for frame in rerun_result.frames])),
        },
        "losses": {
            "reading": list(run.losses),
            "malformed": dict(run.malformed),
            "topics": {name: each.summary() for name, each in run.statistics.items() if each.count},
        },
        "refusals": dict(sorted(run.refusals.items())),
        "time": {
            "recorded_s": round(recorded_s(run), 3),
            "frames_at_30_hz_s": round(len(run.frames_ns) * CONTROL_PERIOD_S, 3),
            "replay_s": round(rerun_result.wall_s, 3),
            "replay_cpu_s": round(rerun_result.cpu_s, 3),
        },
    }


def comparison_picture(title: str, rerun_result: Rerun, torso_height_m: float) -> Picture:
    """Draw what was asked of the gripper then and now, how far the commands differ, and how long they took."""
    frames = rerun_result.frames
    stamps_ns = np.array([frame.stamp_ns for frame in frames], dtype=np.int64)
    times_s = TimeAxis(stamps_ns).at(stamps_ns)
    then = _asked([frame.answer.command for frame in frames], frames, torso_height_m)
    now = _asked([frame.now for frame in frames], frames, torso_height_m)
    panels = [
        Panel(label, (Line("then", then[:, axis], ORANGE, 4), Line("now", now[:, axis], BLUE)))
        for axis, label in enumerate(
            (*(f"gripper's step along {axis} [mm per period]" for axis in "xyz"), "fingers [mm], each")
        )
        if np.isfinite(then[:, axis]).any() or np.isfinite(now[:, axis]).any()
    ]
    difference = np.array([frame.difference for frame in frames])
    then_s, between = _latency_s(frames)
    inference_s = np.array([frame.inference_s for frame in frames])
    panels += [
        Panel("largest difference of a command [rad, m, rad/s]", (Line("now - then", difference, RED),)),
        Panel(f"latency then [ms]: {between}", (Line("then", then_s * 1e3, ORANGE),)),
        Panel("observation, inference and inverse kinematics now [ms]", (Line("now", inference_s * 1e3, BLUE),)),
    ]
    return panels_picture(f"{title}; pauses are cut short", times_s, panels)


def _asked(commands: Sequence[JointCommand], frames: Sequence[Compared], torso_height_m: float) -> FloatArray:
    """Steps of the gripper and openings of the fingers (n, 4) [mm]; NaN where the gripper is left alone."""
    asked = np.full((len(frames), 4), np.nan)
    for row, command, frame in zip(asked, commands, frames, strict=True):
        start = frame.setpoint.position
        velocity = command.velocity
        end = command.position if velocity is None else start + velocity * CONTROL_PERIOD_S
        row[:3] = 1e3 * (grip_position(end, torso_height_m) - grip_position(start, torso_height_m))
        if command.finger_position_m is not None:
            row[3] = 1e3 * command.finger_position_m
    return asked


def _latency_s(frames: Sequence[Compared]) -> tuple[FloatArray, str]:
    return latency_s([(frame.stamp_ns, frame.frame_received_ns, frame.answer.received_ns) for frame in frames])
