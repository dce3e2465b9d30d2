"""Judgements on single commands and measurements, without state: each gives a reason or finds nothing wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from fetch_sim2real.arm.collision import CollisionModel
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.limits import LimitProfile
from fetch_sim2real.arm.spec import ArmSpec
from fetch_sim2real.common.small_arrays import all_finite, any_true
from fetch_sim2real.control.limiter import REQUIRED_CLEARANCE_M, REQUIRED_WORKSPACE_M
from fetch_sim2real.control.trajectory import position_after_step
from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.timing import CONTROL_PERIOD_NS, CONTROL_PERIOD_S
from fetch_sim2real.types import FloatArray, JointCommand, JointSample

FINGER_EFFORT_LOW_N: Final = 1.0
# A controller that has bounds on the tracking error of its own gets wider ones, in case that the driver cannot act on
# them: where both can, the driver does, which stops and says which joint it was.
CONTROLLER_TOLERANCE_FACTOR: Final = 1.5
FINGER_REOPEN_HIGH_S: Final = 5.0


@dataclass(frozen=True)
class FilterSettings:
    """Every threshold of the filter.

    Defaults are those of the default arm; ``of_arm`` has another one's. ``tracking_error_rad`` (n,): commanded minus
    measured, per joint. ``first_command_timeout_s`` takes the place of ``command_timeout_s`` from activation to the
    first valid command: the first frames were taken before it. ``send_periods``: how many control periods lie between
    two trajectories, where the way to the robot takes no more. ``finger_effort_n``: what the gripper may press with,
    for the ways to a robot that can tell it; as a default the rated force (``finger_force_n``, 0 for an arm without a
    gripper), which the policies were trained with. ``finger_reopen_s``: the least time between two goals that open
    fingers that were closing; as a default so short that an actor trained without it grasps again after a miss as soon
    as it wants to. FetchSim2RealError for either out of range.
    """

    command_timeout_s: float = 0.1
    first_command_timeout_s: float = 1.0
    joint_sample_timeout_s: float = 0.1
    max_joints_ahead_s: float = 0.02  # clocks that agree do so within a millisecond or two
    max_command_age_periods: float = 8.0
    max_future_s: float = 0.01
    jump_rad: float = 0.1
    tracking_error_rad: tuple[float, ...] = ARM.tracking_error_rad
    activation_speed_rad_s: float = 0.05
    soft_start_s: float = 0.5
    soft_start_speed: float = 0.1  # share of the velocity limit at the moment of activation
    speed_scale: float = 1.0
    finger_dead_band_m: float = 0.001
    finger_effort_n: float = ARM.finger_force_n
    finger_force_n: float = ARM.finger_force_n
    finger_reopen_s: float = 0.25
    send_periods: int = 1

    def __post_init__(self) -> None:
        # To a Fetch an effort of 0 means all that it has.
        if self.finger_force_n and not FINGER_EFFORT_LOW_N <= self.finger_effort_n <= self.finger_force_n:
            raise FetchSim2RealError(
                f"the finger effort is {self.finger_effort_n} N, expected {FINGER_EFFORT_LOW_N} to "
                f"{self.finger_force_n} N"
            )
        if not 0.0 <= self.finger_reopen_s <= FINGER_REOPEN_HIGH_S:
            raise FetchSim2RealError(
                f"the time between openings of the fingers is {self.finger_reopen_s} s, "
                f"expected 0 to {FINGER_REOPEN_HIGH_S} s"
            )


    @classmethod
    def of_arm(cls, arm: ArmSpec) -> FilterSettings:
        """Return the settings of ``arm``, all others as by default."""
        force_n = arm.finger_force_n
        return cls(tracking_error_rad=arm.tracking_error_rad, finger_effort_n=force_n, finger_force_n=force_n)


class ActivationError(FetchSim2RealError):
    """The arm cannot be activated where and as it is."""


@dataclass(frozen=True)
class Refusal:
    """Why a command is not followed: a short reason that is counted, and the detail for people."""

    reason: str
    detail: str


def stamp_refusal(
    now_ns: int, stamp_ns: int, activated_ns: int, last_stamp_ns: int | None, settings: FilterSettings
) -> Refusal | None:
    """Return what is wrong with the observation stamp of a command that arrives at ``now_ns``."""
    age_ns = now_ns - stamp_ns
    allowed_ns = settings.max_command_age_periods * CONTROL_PERIOD_NS
    if age_ns < -settings.max_future_s * 1e9:
        return Refusal("future", f"the observation stamp is {-age_ns * 1e-9:.3f} s ahead of the driver's clock")
    if stamp_ns < activated_ns:
        before_s = (activated_ns - stamp_ns) * 1e-9
        return Refusal("before_activation", f"the observation is {before_s:.3f} s older than the activation")
    if last_stamp_ns is not None and stamp_ns <= last_stamp_ns:
        return Refusal("out_of_order", f"stamp {stamp_ns} ns is not after the last command's, {last_stamp_ns} ns")
    if age_ns > allowed_ns:
        return Refusal("stale", f"the observation is {age_ns * 1e-9:.3f} s old, allowed {allowed_ns * 1e-9:.3f} s")
    return None


def content_refusal(command: JointCommand, joints: int) -> Refusal | None:
    """Return what is wrong with the shapes and numbers of ``command`` for an arm of that many joints."""
    position, velocity, finger = command.position, command.velocity, command.finger_position_m
    if position.shape != (joints,) or (velocity is not None and velocity.shape != (joints,)):
        shapes = [position.shape] if velocity is None else [position.shape, velocity.shape]
        return Refusal("wrong_joints", f"the command's arrays have shapes {shapes}, expected ({joints},) each")
    if not (
        all_finite(position)
        and (velocity is None or all_finite(velocity))
        and (finger is None or math.isfinite(finger))
    ):
        return Refusal("non_finite", "the command holds NaN or infinity")
    return None


def wanted_motion(
    position: FloatArray, velocity: FloatArray, commands: Sequence[JointCommand]
) -> tuple[FloatArray, FloatArray]:
    """Return the velocities (N, n) that commands want, and where (N, n) their positions have to be.

    ``position`` and ``velocity`` (N, n) are the commanded states that they start from.
    """
    wanted, expected = np.empty_like(position), position.copy()
    given = [row for row, command in enumerate(commands) if command.velocity is not None]
    if given:
        wanted[given] = [commands[row].velocity for row in given]
        with np.errstate(over="ignore"):  # absurd but finite numbers end as a jump
            expected[given] = position_after_step(position[given], velocity[given], wanted[given])
    if len(given) < len(commands):
        rest = [row for row, command in enumerate(commands) if command.velocity is None]
        wanted[rest] = (np.array([commands[row].position for row in rest]) - position[rest]) / CONTROL_PERIOD_S
    return wanted, expected


def jump_refusal(
    command: JointCommand, expected: FloatArray, settings: FilterSettings, joint_names: tuple[str, ...]
) -> Refusal | None:
    """Return what is wrong with a command's position if it is not where it is ``expected`` (n,)."""
    error = np.abs(command.position - expected)
    if not any_true(error > settings.jump_rad):
        return None
    joint = int(np.argmax(error))
    return Refusal(
        "jump",
        f"{joint_names[joint]} is commanded to {command.position[joint]:.3f} rad, expected {expected[joint]:.3f} rad "
        f"(+-{settings.jump_rad}): commands have to start from the driver's setpoint",
    )


def check_activation(
    now_ns: int, measured: JointSample, profile: LimitProfile, model: CollisionModel, settings: FilterSettings
) -> None:
    """Raise ActivationError unless ``measured`` is fresh, at rest, within the limits and clear in the scene."""
    position, velocity = measured.position, measured.velocity
    names, joints = model.scene.arm.joint_names, model.scene.arm.joint_count
    if position.shape != (joints,) or velocity.shape != (joints,) or not np.all(np.isfinite([position, velocity])):
        raise ActivationError(
            f"the measured joints are {position} rad, {velocity} rad/s, expected {joints} finite values each"
        )
    age_s = (now_ns - measured.stamp_ns) * 1e-9
    if age_s > settings.joint_sample_timeout_s:
        raise ActivationError(
            f"the last joint state is {age_s:.3f} s old, expected at most {settings.joint_sample_timeout_s} s: "
            "check that the robot publishes /joint_states and that both clocks agree"
        )
    if -age_s > settings.max_joints_ahead_s:
        raise ActivationError(
            f"the last joint state is stamped {-age_s:.3f} s ahead of the driver's clock, expected at most "
            f"{settings.max_joints_ahead_s} s: synchronize the clocks of both machines, for example with chrony"
        )
    moving = np.abs(velocity) > settings.activation_speed_rad_s
    if moving.any():
        joint = int(np.argmax(np.abs(velocity)))
        raise ActivationError(
            f"{names[joint]} moves at {velocity[joint]:.3f} rad/s, expected at most "
            f"{settings.activation_speed_rad_s} rad/s: wait until the arm is at rest"
        )
    outside = (position < profile.position_lower) | (position > profile.position_upper)
    if outside.any():
        joint = int(np.argmax(outside))
        raise ActivationError(
            f"{names[joint]} is at {position[joint]:.3f} rad, expected {profile.position_lower[joint]:.3f} to "
            f"{profile.position_upper[joint]:.3f} rad: move the arm inside its limits first"
        )
    clearance = model.clearance(position)
    for name, value, required in (
        ("the grip site's distance inside the workspace", clearance.workspace, REQUIRED_WORKSPACE_M),
        ("the arm's clearance to the table", clearance.table, REQUIRED_CLEARANCE_M),
        ("the arm's clearance to the robot's body", clearance.body, REQUIRED_CLEARANCE_M),
        ("the arm's clearance to itself", clearance.itself, REQUIRED_CLEARANCE_M),
    ):
        if value < required:
            raise ActivationError(
                f"{name} is {float(value):.4f} m, expected at least {required} m: move the arm, or correct the scene"
            )
