"""Where the arm has to be before a run: where training began its episodes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.ik import DifferentialIk
from fetch_sim2real.common.ranges import box_of
from fetch_sim2real.policy.manifest import Manifest
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.types import FloatArray

_BOX_TOLERANCE_M: Final = 0.005
# Joint zeros are off by a degree or so, and the arm sags; another elbow or a turned wrist is far more than this.
_POSTURE_TOLERANCE_RAD: Final = 0.2


@dataclass(frozen=True)
class StartRegion:
    """Box (3,), (3,) [m] in base_link of the grip site at the start of an episode, the gripper pointing down."""

    lower_m: FloatArray
    upper_m: FloatArray

    @property
    def centre_m(self) -> FloatArray:
        return 0.5 * (self.lower_m + self.upper_m)


def start_region_of(manifest: Manifest, worlds_dir: Path) -> StartRegion:
    """Return the region of the bundle's own training. WorldFileError if its world or task is not known here."""
    world = load_world(manifest.training.world_file, worlds_dir)
    return StartRegion(*box_of(world.episode_of(find_task(manifest.task)).start_grip_m))


def departure_from(region: StartRegion, ik: DifferentialIk, position: FloatArray) -> str:
    """Return in which respect the arm (n,) [rad] is not as episodes began in training; empty if it is."""
    grip_m = ik.grip_position_m(position)
    outside = np.maximum(region.lower_m - grip_m, grip_m - region.upper_m)
    if np.any(outside > _BOX_TOLERANCE_M):
        return (
            f"the gripper is at {_text(grip_m)} m, {100 * float(outside.max()):.0f} cm outside the region where "
            f"training began, {_text(region.lower_m)} to {_text(region.upper_m)} m"
        )
    trained = ik.reach(ARM.home_rad, grip_m)
    if trained is None:
        return f"the gripper is at {_text(grip_m)} m, where it cannot point down"
    off = np.abs(position - trained)
    if np.any(off > _POSTURE_TOLERANCE_RAD):
        joint = int(np.argmax(off))
        return (
            f"{ARM.joint_names[joint]} is at {position[joint]:.2f} rad, training began at this place with "
            f"{trained[joint]:.2f} rad (gripper down, elbow up)"
        )
    return ""


def start_position(region: StartRegion, ik: DifferentialIk) -> FloatArray | None:
    """Return joint positions (n,) [rad] in the middle of the region; None if it is out of reach."""
    return ik.reach(ARM.home_rad, region.centre_m)


def _text(point_m: FloatArray) -> str:
    return "(" + ", ".join(f"{value:.2f}" for value in point_m) + ")"
