"""The driver's parameters."""

from __future__ import annotations

from typing import Final

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.common.option import Option
from fetch_sim2real.control.checks import FINGER_EFFORT_LOW_N, FINGER_REOPEN_HIGH_S, FilterSettings
from fetch_sim2real.stack.options import (
    BACKEND,
    HEARTBEAT,
    MODE,
    NODES_LOCKSTEP,
    PROFILE,
    ROSBRIDGE_HOST,
    ROSBRIDGE_PORT,
    SPEED_SCALE,
    WORLD,
)

TABLE: Final = (
    PROFILE,
    SPEED_SCALE,
    Option(
        "gripper_effort",
        FilterSettings.finger_effort_n,
        "greatest force of the gripper; goals by rosbridge carry it, a joint trajectory has no place for it",
        "N",
        low=FINGER_EFFORT_LOW_N,
        high=ARM.finger_force_n,
    ),
    Option(
        "gripper_reopen_time",
        FilterSettings.finger_reopen_s,
        "least time between two goals that open a closing gripper: a later one waits, the newest wins",
        "s",
        low=0.0,
        high=FINGER_REOPEN_HIGH_S,
    ),
    WORLD,
    BACKEND,
    MODE,
    Option("watch_base", True, "brake when the base moves while the arm is enabled, where there is odometry"),
    Option(
        "base_tolerance_m",
        0.02,
        "how far the base may move, a turn counted as what it moves the gripper by, a metre away",
        unit="m",
        low=0.001,
        high=0.5,
    ),
    HEARTBEAT,
    ROSBRIDGE_HOST,
    ROSBRIDGE_PORT,
    NODES_LOCKSTEP,
)
