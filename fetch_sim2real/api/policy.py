"""A policy to be asked from Python: camera data or an environment's observation in, an action out.

Frames become actions in ``policy.runtime`` alone. What is here checks what a caller states and hands it on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fetch_sim2real.api.camera_data import (
    checked_depth,
    checked_goal,
    checked_rgb,
    default_camera,
    joint_sample,
    row_of,
    setpoint_of,
)
from fetch_sim2real.envs.observations import actor_observations
from fetch_sim2real.errors import ObservationError
from fetch_sim2real.evaluation.open_loop import policy_at
from fetch_sim2real.paths import find_policy
from fetch_sim2real.perception.camera import CameraModel
from fetch_sim2real.policy.bundle import PolicyBundle, load_bundle
from fetch_sim2real.policy.look_rate import EVERY_FRAME, LOOK_RATES, LookRate
from fetch_sim2real.policy.manifest import Manifest
from fetch_sim2real.policy.runtime import CommandRuntime, PolicyRuntime, Sensed
from fetch_sim2real.types import FloatArray, JointCommand, JointSample, JointSetpoint, RgbdFrame

Joints = Mapping[str, float] | JointSample
Commanded = Mapping[str, float] | ArrayLike | JointSetpoint
_SHOWN: Final = ("observation", "desired_goal", "rgb", "depth_mm")


class LoadedPolicy:
    """A verified policy with its memory. ``reset`` it where an episode begins. Not for threads to share."""

    def __init__(self, bundle: PolicyBundle, name: str, look: LookRate, environments: int) -> None:
        """See ``load_policy``."""
        self.bundle: Final = bundle
        self.name: Final = name
        self.look: Final = look
        self.environments: Final = environments
        self._policy = policy_at(bundle, look, environments)
        self._runtime = CommandRuntime(bundle.manifest, self._policy, bundle.manifest.action.target_box_m)
        self._fed_by = ""

    def __repr__(self) -> str:
        return f"<policy {self.name!r}: task {self.task}, goals [m] in '{self.goal_frame}'>"

    @property
    def manifest(self) -> Manifest:
        """What it is, how it was trained, and what it was measured at (docs/bundles.md)."""
        return self.bundle.manifest

    @property
    def task(self) -> str:
        """The task that it does."""
        return self.manifest.task

    @property
    def goal_frame(self) -> str:
        """The frame of its goals: ``base_link``, or an object from which they are offsets."""
        return self.manifest.goal.frame

    def reset(self, environments: Sequence[int] | None = None) -> None:
        """Forget: an episode begins, everywhere or in the environments of these indices."""
        if environments is None:
            self._runtime.reset()
            self._fed_by = ""
        self._policy.reset(environments)

    @overload
    def act(self, observation: Mapping[str, Any], /) -> FloatArray: ...

    @overload
    def act(
        self,
        rgb: ArrayLike,
        depth_mm: ArrayLike,
        joints: Joints,
        goal: ArrayLike,
        *,
        camera: CameraModel | None = None,
        commanded: Commanded | None = None,
        stamp_ns: int | None = None,
    ) -> FloatArray: ...

    def act(
        self,
        rgb: ArrayLike | Mapping[str, Any],
        depth_mm: ArrayLike | None = None,
        joints: Joints | None = None,
        goal: ArrayLike | None = None,
        *,
        camera: CameraModel | None = None,
        commanded: Commanded | None = None,
        stamp_ns: int | None = None,
    ) -> FloatArray:
        """Return the action (4,) in [-1, 1]: gripper displacement x, y, z in base_link as shares of a full step, and
        the fingers.

        Of a camera's frame: ``rgb`` (H, W, 3) uint8, RGB; ``depth_mm`` (H, W) uint16, aligned to it, 0 where there is
        none; ``joints``, measured when the picture was taken: [rad] by name, with a finger [m], or a ``JointSample``;
        ``goal`` (3,) [m] in ``goal_frame``. ``camera`` are the picture's intrinsics (None: a RealSense D435's 42.5
        degrees). ``commanded`` is where the arm is commanded to by now, as the driver reports it, by name or (n,) [rad]
        (None: where it is measured, as of an arm at rest). ``stamp_ns`` is the picture's (None: the joints' own).

        Of an environment: its observation in the mode ``rgbd`` or ``asymmetric``. A vector environment's rows (N, ...)
        give (N, 4), if the policy was loaded for N environments.

        ObservationError names what does not fit; then nothing is remembered.
        """
        if isinstance(rgb, Mapping):
            beside = {"depth_mm": depth_mm, "joints": joints, "goal": goal, "camera": camera, "commanded": commanded}
            if given := [name for name, value in beside.items() if value is not None]:
                raise ObservationError(f"{', '.join(given)} given beside an observation, which holds all: leave it out")
            return self._act_on(rgb)
        return self._runtime.act(self._sensed(rgb, depth_mm, joints, goal, camera, commanded, stamp_ns))

    def command(
        self,
        rgb: ArrayLike,
        depth_mm: ArrayLike,
        joints: Joints,
        goal: ArrayLike,
        *,
        camera: CameraModel | None = None,
        commanded: Commanded | None = None,
        stamp_ns: int | None = None,
    ) -> JointCommand:
        """Act as ``act`` does and return where the joints are to be a control period later, by inverse kinematics.

        No safety filter has seen it: on a robot the driver has one (docs/safety.md).
        """
        return self._runtime.command(self._sensed(rgb, depth_mm, joints, goal, camera, commanded, stamp_ns))

    def fresh_runtime(self) -> PolicyRuntime:
        """Return another runtime of the same policy, with a memory of its own."""
        return PolicyRuntime.of_bundle(self.bundle, policy_at(self.bundle, self.look))

    def _sensed(
        self,
        rgb: ArrayLike,
        depth_mm: ArrayLike | None,
        joints: Joints | None,
        goal: ArrayLike | None,
        camera: CameraModel | None,
        commanded: Commanded | None,
        stamp_ns: int | None,
    ) -> Sensed:
        for name, value in (("depth_mm", depth_mm), ("joints", joints), ("goal", goal)):
            if value is None:
                raise ObservationError(
                    f"{name} is missing, expected act(rgb, depth_mm, joints, goal), or act(observation) with what an "
                    "environment gave"
                )
        assert depth_mm is not None and joints is not None and goal is not None
        if self.environments != 1:
            raise ObservationError(
                f"a camera's frame is of one environment, and the policy was loaded for {self.environments}: "
                "load_policy(..., environments=1)"
            )
        self._require_one_source("camera frames")
        color, depth = checked_rgb(rgb), checked_depth(depth_mm)
        if color.ndim != 3 or depth.shape != color.shape[:2]:
            raise ObservationError(
                f"depth_mm is {depth.shape} and rgb {color.shape}, expected (H, W) and (H, W, 3): align depth to the "
                "colour picture"
            )
        if stamp_ns is None:
            stamp_ns = joints.stamp_ns if isinstance(joints, JointSample) else 0
        sample = joint_sample(joints, stamp_ns)
        return Sensed(
            frame=RgbdFrame(stamp_ns, color, depth),
            camera=default_camera(*depth.shape) if camera is None else camera,
            joints=sample,
            goal_m=checked_goal(goal, self.manifest.goal),
            setpoint=setpoint_of(sample.position if commanded is None else commanded),
        )

    def _act_on(self, observation: Mapping[str, Any]) -> FloatArray:
        rows = row_of(observation, _SHOWN)
        rows["rgb"], rows["depth_mm"] = checked_rgb(rows["rgb"]), checked_depth(rows["depth_mm"])
        is_single = rows["desired_goal"].ndim == 1
        if is_single:
            rows = {name: value[None] for name, value in rows.items()}
        if len(rows["desired_goal"]) != self.environments:
            raise ObservationError(
                f"the observation has {len(rows['desired_goal'])} rows, and the policy was loaded for "
                f"{self.environments} environments: load_policy(..., environments={len(rows['desired_goal'])})"
            )
        self._require_one_source("an environment's observations")
        goals: list[NDArray[np.float64]] = [checked_goal(goal, self.manifest.goal) for goal in rows["desired_goal"]]
        rows["desired_goal"] = np.array(goals)
        actions = self._policy.act(actor_observations(rows, self.manifest.observation))
        return actions[0] if is_single else actions

    def _require_one_source(self, source: str) -> None:
        """Observations carry their own past actions, frames do not: an episode is of one kind."""
        if self._fed_by not in ("", source):
            raise ObservationError(f"the episode began with {self._fed_by}, and now come {source}: call reset() first")
        self._fed_by = source


def load_policy(name: str | Path, *, look: LookRate = EVERY_FRAME, environments: int = 1) -> LoadedPolicy:
    """Return the shipped policy called ``name``, or the bundle in that folder, verified.

    ``look``: all but ``every-frame`` are open-loop baselines that look so often. ``environments`` is how many a
    vector environment has. SetupError where there is no such policy, BundleError if it does not reproduce its actions.
    """
    if look not in LOOK_RATES:
        raise ObservationError(f"look is '{look}', expected one of {', '.join(LOOK_RATES)}")
    if environments < 1:
        raise ObservationError(f"environments is {environments}, expected at least 1: leave it out for one")
    return LoadedPolicy(load_bundle(find_policy(name)), str(name), look, environments)
