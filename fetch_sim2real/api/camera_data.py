"""Checks what a caller states of one moment, and makes the runtime's input of it: nothing is converted silently.

Normalization happens in the policy, so what is normalized already, or in other units, is an error that says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import SimpleNamespace
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.errors import ObservationError
from fetch_sim2real.messages.joint_states import JointStateMerger
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.perception.camera import CameraModel
from fetch_sim2real.policy.manifest import GoalRecord
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.types import FloatArray, JointSample, JointSetpoint

# A depth camera sees nothing nearer than this; whole numbers below are metres that were rounded.
_NEAREST_MM: Final = 50
# No depth in metres is larger, and no depth in millimetres that a policy looks at is smaller.
_FARTHEST_M: Final = 66.0
# Encoders may be off their joint's stop a little; what is further beyond is in other units.
_BEYOND_STOP_RAD: Final = 0.3
_BEYOND_FINGER_M: Final = 0.01
_NO_GOAL_M: Final = 10.0


def checked_rgb(rgb: ArrayLike, name: str = "rgb") -> NDArray[np.uint8]:
    """Return colour (..., H, W, 3) uint8 as it is; ObservationError for anything else."""
    array = np.asarray(rgb)
    got = f"{name} is {array.shape} {array.dtype}"
    if array.dtype != np.uint8:
        if np.issubdtype(array.dtype, np.floating) and array.size and float(np.nanmax(np.abs(array))) <= 1.0:
            raise ObservationError(
                f"{got} with values from {np.nanmin(array):.3g} to {np.nanmax(array):.3g}, expected uint8 from 0 to "
                "255: it seems to be normalized, which the policy does itself; give what the camera gave"
            )
        raise ObservationError(f"{got}, expected uint8 from 0 to 255: give what the camera gave, without conversion")
    if array.ndim < 3 or array.shape[-1] != 3:
        step = "give height, width and channels in this order"
        if array.ndim >= 3 and array.shape[-1] == 4:
            step = f"leave the fourth channel out: {name}[..., :3]"
        elif array.ndim >= 3 and array.shape[-3] == 3:
            step = f"put the channels last: np.moveaxis({name}, -3, -1)"
        raise ObservationError(f"{got}, expected (H, W, 3) uint8: {step}")
    if array.size and int(array.max()) == 1:
        raise ObservationError(
            f"{got} and holds only 0 and 1, expected 0 to 255: it seems that normalized colour was made uint8; give "
            "what the camera gave"
        )
    return array


def checked_depth(depth_mm: ArrayLike, name: str = "depth_mm") -> NDArray[np.uint16]:
    """Return depth (..., H, W) uint16 [mm] as it is; ObservationError for anything else."""
    array = np.asarray(depth_mm)
    got = f"{name} is {array.shape} {array.dtype}"
    if array.dtype != np.uint16:
        if np.issubdtype(array.dtype, np.floating) and array.size:
            most = float(np.nanmax(np.abs(array)))
            if most < _FARTHEST_M:
                raise ObservationError(
                    f"{got} with values up to {most:.3g}, expected uint16 in millimetres: it seems to be in metres, or "
                    "normalized. Metres become np.nan_to_num(1000 * depth_m).round().astype(np.uint16); what is "
                    "normalized cannot be used: give what the camera gave"
                )
        raise ObservationError(
            f"{got}, expected uint16 in millimetres, 0 where there is no depth: "
            "np.clip(np.nan_to_num(depth), 0, 65535).round().astype(np.uint16)"
        )
    if array.ndim < 2:
        raise ObservationError(f"{got}, expected (H, W) uint16: give one number for each pixel of the colour image")
    if array.ndim > 2 and array.shape[-1] == 1:
        raise ObservationError(f"{got}, expected (H, W) uint16: leave the last axis out: {name}[..., 0]")
    if 0 < int(array.max(initial=0)) < _NEAREST_MM:
        raise ObservationError(
            f"{got} with no value above {int(array.max())}, expected millimetres: it seems that metres were made whole "
            "numbers; multiply them by 1000 first"
        )
    return array


def checked_goal(goal: ArrayLike, record: GoalRecord) -> FloatArray:
    """Return a goal (3,) [m] in the policy's goal frame; ObservationError if it is none that was trained."""
    array = np.asarray(goal, dtype=np.float64)
    region = f"a place within {list(record.lower_m)} to {list(record.upper_m)} m in '{record.frame}'"
    if array.shape != (3,) or not np.all(np.isfinite(array)):
        raise ObservationError(
            f"goal is {np.array2string(array, threshold=6)}, expected three finite numbers: {region}"
        )
    if not record.contains(array):
        step = "choose a goal that the policy was trained for"
        if float(np.abs(array).max()) > _NO_GOAL_M:
            step = "it seems to be in millimetres; give metres"
        raise ObservationError(f"goal is {array.tolist()} m, expected {region}: {step}")
    return array


def joint_sample(joints: Mapping[str, float] | JointSample, stamp_ns: int) -> JointSample:
    """Return measured joints as a sample: of positions by name, arm [rad] and one finger or both [m], or one as it is.

    ObservationError if a joint is missing or cannot be where it is said to be.
    """
    sample = joints if isinstance(joints, JointSample) else _of_names(joints, stamp_ns)
    _require_possible("joints", sample.position)
    fingers_m, most_m = sample.finger_position_m, ARM.finger_max_m
    if np.isfinite(fingers_m) and not -_BEYOND_FINGER_M <= fingers_m <= most_m + _BEYOND_FINGER_M:
        raise ObservationError(
            f"the fingers in joints are {fingers_m:g} m open, expected 0 to {most_m:g} m each: give metres of one "
            "finger, not the gap between them"
        )
    return sample


def _of_names(joints: Mapping[str, float], stamp_ns: int) -> JointSample:
    if not isinstance(joints, Mapping):
        raise ObservationError(
            f"joints is a {type(joints).__name__}, expected positions by name, such as "
            f"{{'{ARM.joint_names[0]}': 0.1, ...}}, or a fetch_sim2real.JointSample"
        )
    sec, nanosec = divmod(stamp_ns, 10**9)
    message = SimpleNamespace(
        name=list(joints),
        position=[float(value) for value in joints.values()],
        velocity=[],
        header=SimpleNamespace(stamp=SimpleNamespace(sec=sec, nanosec=nanosec)),
    )
    merger = JointStateMerger(needs_velocity=False)
    sample = merger.merge(message)
    if sample is None:
        held = ", ".join(joints) or "nothing"
        missing = [name for name in ARM.joint_names if name not in joints]
        raise ObservationError(
            f"joints hold {held}, expected {', '.join(ARM.joint_names)} [rad] and one of "
            f"{', '.join(ARM.gripper_joints)} [m]: add {', '.join(missing) or 'a finger'}"
        )
    return sample


def setpoint_of(commanded: Mapping[str, float] | ArrayLike | JointSetpoint) -> JointSetpoint:
    """Return where the arm is commanded to (n,) [rad], given by name, as numbers in the arm's order, or as it is."""
    if isinstance(commanded, JointSetpoint):
        return commanded
    if isinstance(commanded, Mapping):
        missing = [name for name in ARM.joint_names if name not in commanded]
        if missing:
            raise ObservationError(
                f"commanded holds {', '.join(commanded) or 'nothing'}, expected all of {', '.join(ARM.joint_names)} "
                f"[rad]: add {', '.join(missing)}"
            )
        commanded = [commanded[name] for name in ARM.joint_names]
    position = np.asarray(commanded, dtype=np.float64)
    _require_possible("commanded", position)
    return JointSetpoint.at_rest(position)


def _require_possible(name: str, position: FloatArray) -> None:
    """ObservationError for positions (n,) [rad] that the arm cannot have."""
    if position.shape != (len(ARM.joint_names),) or not np.all(np.isfinite(position)):
        raise ObservationError(
            f"{name}: position is {np.array2string(position, threshold=8)}, expected {len(ARM.joint_names)} finite "
            f"numbers [rad], of {', '.join(ARM.joint_names)}"
        )
    for joint, value in zip(ARM.joints, position, strict=True):
        least, most = joint.lower_rad - _BEYOND_STOP_RAD, joint.upper_rad + _BEYOND_STOP_RAD
        if not joint.is_continuous and not least <= value <= most:
            raise ObservationError(
                f"{name}: {joint.name} is {value:g}, expected {joint.lower_rad:g} to {joint.upper_rad:g} rad: give "
                "radians, not degrees"
            )


@cache
def _fovy_rad() -> float:
    return float(np.deg2rad(load_world("nominal", worlds_dir()).camera.vertical_fov_deg))


def default_camera(height: int, width: int) -> CameraModel:
    """Return the intrinsics of pictures for which none are given: of the camera in the world ``nominal``."""
    return CameraModel.from_fovy(width, height, _fovy_rad())


def row_of(observation: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Return the arrays of these ``names`` of an environment's observation; ObservationError names what is missing."""
    missing = [name for name in names if name not in observation]
    if missing:
        raise ObservationError(
            f"the observation holds {', '.join(map(str, observation)) or 'nothing'}, expected {', '.join(names)} too: "
            f"{', '.join(missing)} missing. Make the environment with observation_mode='rgbd' or 'asymmetric'"
        )
    return {name: np.asarray(observation[name]) for name in names}
