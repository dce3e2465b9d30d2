"""The observation: one function that training, simulation and robot all call.

An observation is an image (``perception.preprocess``) and a vector. The vector's layout, in this order:

==================  =====  ====================================================================================
names               size   meaning
==================  =====  ====================================================================================
goal_{x,y,z}        3      the goal [m] in the frame the actor was trained with (see the manifest's goal)
grip_{x,y,z}        3      proprioception: gripper position [m] in base_link, by forward kinematics
finger              1      proprioception: opening of each finger [m]
commanded_{x,y,z}   3      where [m] in base_link the gripper is on its way to, by the driver's setpoint
action_1_{x,y,z,g}  4      the last action (displacement x, y, z and gripper), 0 after a reset
action_2_{...}      4      the action before that, and so on for ``last_actions`` actions
==================  =====  ====================================================================================

A picture is tens of milliseconds old, more on some machines than on others, and all joint states belong to its time.
``commanded`` is of the moment at which the actor acts: what lies between it and ``grip`` is the motion that the picture
does not show yet, however late it is.

Each number is stored as (value - centre) / scale, with its centre and scale written in the manifest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.common.schema import PositiveFloat, Record
from fetch_sim2real.errors import ObservationError
from fetch_sim2real.perception.camera import CameraModel
from fetch_sim2real.perception.preprocess import Image, ImageSpec, preprocess
from fetch_sim2real.timing import CONTROL_PERIOD_NS
from fetch_sim2real.types import FloatArray, JointSample, RgbdFrame

ACTION_SIZE: Final = 4
# Joint states come at 50 Hz or more, so that the nearest is within 10 ms. One that is further from the frame than half
# a period belongs to another moment: an arm at full speed moves its gripper by two centimetres in that time.
MAX_JOINT_SKEW_NS: Final = CONTROL_PERIOD_NS // 2

GripPosition = Callable[[FloatArray], FloatArray]
"""Gripper position (3,) [m] in base_link of arm joints (n,) [rad], at the torso's height."""


class ScaledValue(Record):
    """One named number and how it is normalized: (value - centre) / scale."""

    name: str
    centre: float
    scale: PositiveFloat


def _layout(proprioception: bool, commanded: bool, last_actions: int) -> tuple[str, ...]:
    names = ["goal_x", "goal_y", "goal_z"]
    if proprioception:
        names += ["grip_x", "grip_y", "grip_z", "finger"]
    if commanded:
        names += ["commanded_x", "commanded_y", "commanded_z"]
    for age in range(1, last_actions + 1):
        names += [f"action_{age}_{axis}" for axis in ("x", "y", "z", "g")]
    return tuple(names)


class ObservationSpec(Record):
    """What an actor sees. ``vector`` lists every number of the vector in order, with its normalization."""

    image: ImageSpec
    proprioception: bool
    commanded: bool
    last_actions: Annotated[int, Field(ge=0, le=16)]
    vector: tuple[ScaledValue, ...]

    @model_validator(mode="after")
    def _vector_follows_layout(self) -> ObservationSpec:
        expected = _layout(self.proprioception, self.commanded, self.last_actions)
        got = tuple(value.name for value in self.vector)
        if got != expected:
            raise ValueError(f"the vector's names are {list(got)}, expected {list(expected)}")
        return self

    @property
    def vector_size(self) -> int:
        return len(self.vector)


def vector_names(spec: ObservationSpec) -> tuple[str, ...]:
    """Return the names of the vector's numbers, in order."""
    return tuple(value.name for value in spec.vector)


def make_observation_spec(
    image: ImageSpec,
    *,
    proprioception: bool,
    commanded: bool = False,
    last_actions: int,
    goal_centre_m: Sequence[float],
    goal_scale_m: Sequence[float],
    grip_centre_m: Sequence[float] = (0.0, 0.0, 0.0),
    grip_scale_m: Sequence[float] = (1.0, 1.0, 1.0),
) -> ObservationSpec:
    """Return a spec with the usual normalization: fingers 0..open become -1..1, actions stay as they are."""
    known = {f"goal_{axis}": (goal_centre_m[i], goal_scale_m[i]) for i, axis in enumerate("xyz")}
    for stem in ("grip", "commanded"):
        known |= {f"{stem}_{axis}": (grip_centre_m[i], grip_scale_m[i]) for i, axis in enumerate("xyz")}
    known["finger"] = (ARM.finger_max_m / 2, ARM.finger_max_m / 2)
    values = []
    for name in _layout(proprioception, commanded, last_actions):
        centre, scale = known.get(name, (0.0, 1.0))
        values.append(ScaledValue(name=name, centre=float(centre), scale=float(scale)))
    return ObservationSpec(
        image=image, proprioception=proprioception, commanded=commanded, last_actions=last_actions, vector=tuple(values)
    )


@dataclass(frozen=True)
class Observation:
    """What the actor gets: image in storage form, vector (n,) float32 normalized."""

    image: Image
    vector: NDArray[np.float32]


def observation_vector(
    spec: ObservationSpec,
    goal_m: FloatArray,
    grip_m: FloatArray | None,
    finger_m: FloatArray | float,
    commanded_m: FloatArray | None,
    last_actions: FloatArray | None,
) -> NDArray[np.float32]:
    """Return the normalized vector (..., n) of batched inputs: goal, grip, commanded (..., 3), finger (...), actions
    (..., k, 4).

    ``grip_m``, ``commanded_m`` and ``last_actions`` may be None where the spec leaves them out; ``finger_m`` is then
    ignored with the first.
    """
    goal = np.asarray(goal_m, dtype=np.float64)
    parts = [goal]
    if spec.proprioception:
        parts += [np.asarray(grip_m, dtype=np.float64), np.asarray(finger_m, dtype=np.float64)[..., None]]
    if spec.commanded:
        parts.append(np.asarray(commanded_m, dtype=np.float64))
    if spec.last_actions:
        actions = np.asarray(last_actions, dtype=np.float64)
        parts.append(actions.reshape(*goal.shape[:-1], spec.last_actions * ACTION_SIZE))
    raw = np.concatenate(parts, axis=-1)
    if raw.shape[-1] != spec.vector_size:
        raise ObservationError(f"the observation vector has {raw.shape[-1]} numbers, expected {spec.vector_size}")
    if not np.all(np.isfinite(raw)):
        columns = np.flatnonzero(~np.isfinite(raw).reshape(-1, spec.vector_size).all(axis=0))
        bad = ", ".join(spec.vector[column].name for column in columns)
        raise ObservationError(f"the observation holds NaN or infinity in {bad}")
    centre, scale = _normalization(spec)
    vector: NDArray[np.float32] = ((raw - centre) / scale).astype(np.float32)
    return vector


def with_goal(spec: ObservationSpec, goal_m: FloatArray, others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the vector (n,) of a goal (3,) [m] and of the other numbers (n - 3,), which are normalized already."""
    centre, scale = _normalization(spec)
    size = goal_m.shape[-1]
    return np.concatenate([((goal_m - centre[:size]) / scale[:size]).astype(np.float32), others])


@lru_cache(maxsize=8)
def _normalization(spec: ObservationSpec) -> tuple[FloatArray, FloatArray]:
    return np.array([value.centre for value in spec.vector]), np.array([value.scale for value in spec.vector])


def observe(
    spec: ObservationSpec,
    frame: RgbdFrame,
    camera: CameraModel,
    joints: JointSample,
    commanded_rad: FloatArray,
    goal_m: FloatArray,
    last_actions: FloatArray,
    grip_position: GripPosition,
) -> Observation:
    """Return the observation at ``frame``.

    ``joints`` is the sample nearest the frame in time; ``commanded_rad`` (n,) is the arm's commanded position when the
    actor acts, as the driver reports it (``JointSetpoint.position``); ``goal_m`` (3,) is in the manifest's goal frame;
    ``last_actions`` (k, 4) newest first, with k = ``spec.last_actions`` (``ActionHistory.recent``).
    Raises ObservationError for wrong shapes, non-finite values, or joints of another moment than the frame.
    """
    vector = observe_vector(
        spec, frame.stamp_ns, joints, commanded_rad, goal_m, last_actions, grip_position
    )
    return Observation(preprocess(frame, camera, spec.image), vector)


def observe_vector(
    spec: ObservationSpec,
    stamp_ns: int,
    joints: JointSample,
    commanded_rad: FloatArray,
    goal_m: FloatArray,
    last_actions: FloatArray,
    grip_position: GripPosition,
) -> NDArray[np.float32]:
    """Return the vector (n,) of ``observe``, of a frame of which nothing but its stamp is there."""
    _require_shape("goal", goal_m, (3,))
    _require_shape("last actions", last_actions, (spec.last_actions, ACTION_SIZE))
    grip_m = None
    if spec.proprioception:
        _require_shape("arm joint position", joints.position, (len(ARM.joint_names),))
        skew_ns = joints.stamp_ns - stamp_ns
        if abs(skew_ns) > MAX_JOINT_SKEW_NS:
            raise ObservationError(joint_skew_words(skew_ns))
        grip_m = grip_position(joints.position)
        _require_shape("gripper position", grip_m, (3,))
    commanded_m = None
    if spec.commanded:
        _require_shape("commanded arm position", commanded_rad, (len(ARM.joint_names),))
        commanded_m = grip_position(commanded_rad)
    return observation_vector(spec, goal_m, grip_m, joints.finger_position_m, commanded_m, last_actions)


def joint_skew_words(skew_ns: int) -> str:
    """Return what is wrong with a nearest joint state that is ``skew_ns`` from its frame."""
    return (
        f"the nearest joint state is {skew_ns / 1e6:.1f} ms from its frame, expected at most "
        f"{MAX_JOINT_SKEW_NS / 1e6:.1f} ms. Check that camera and robot share a clock, and the rate of /joint_states"
    )


def _require_shape(what: str, value: FloatArray, expected: tuple[int, ...]) -> None:
    if np.shape(value) != expected:
        raise ObservationError(f"{what} has shape {np.shape(value)}, expected {expected}")


class ActionHistory:
    """The last ``count`` actions, newest first; zeros after a reset."""

    def __init__(self, count: int) -> None:
        self._actions: FloatArray = np.zeros((count, ACTION_SIZE))

    def reset(self) -> None:
        self._actions = np.zeros_like(self._actions)

    def push(self, action: FloatArray) -> None:
        """Remember ``action`` (4,) as the newest."""
        _require_shape("action", action, (ACTION_SIZE,))
        newest = np.asarray(action, dtype=np.float64)[None]
        self._actions = np.concatenate([newest, self._actions])[: len(self._actions)]

    def recent(self) -> FloatArray:
        """Return the actions (count, 4), newest first."""
        return self._actions.copy()
