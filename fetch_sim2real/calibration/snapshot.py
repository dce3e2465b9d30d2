"""One snapshot of the workcell: picture, depth, intrinsics and joints of the same moment, with everything at rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.calibration.camera_file import IntrinsicsRecord, read_mapping
from fetch_sim2real.errors import CalibrationError
from fetch_sim2real.types import FloatArray

# Between the first and the last of several frames nothing may move by more than this.
MAX_MOTION_RAD: Final = 0.01
# Two snapshots are of different poses of the arm if a joint differs by more than this.
NEXT_POSE_RAD: Final = 0.15


@dataclass(frozen=True)
class MeasuredJoints:
    """Arm (n,) [rad], opening of each finger [m], torso [m]; the last two None where nobody said."""

    arm_rad: FloatArray
    finger_m: float | None
    torso_height_m: float | None


@dataclass(frozen=True)
class Snapshot:
    """rgb (H, W, 3) uint8, depth_mm (H, W) uint16 aligned to it with 0 for none, and the joints at that time."""

    rgb: NDArray[np.uint8]
    depth_mm: NDArray[np.uint16]
    intrinsics: IntrinsicsRecord
    joints: MeasuredJoints

    def __post_init__(self) -> None:
        size = (self.intrinsics.height, self.intrinsics.width)
        if self.rgb.shape != (*size, 3) or self.depth_mm.shape != size or self.depth_mm.dtype != np.uint16:
            raise CalibrationError(
                f"colour is {self.rgb.shape}, depth {self.depth_mm.shape} {self.depth_mm.dtype}; the intrinsics are "
                f"for {size[1]}x{size[0]} (rows, columns {size}): give pictures, depth aligned to colour in uint16 "
                "millimetres, and intrinsics of one camera profile"
            )


def joints_of(names: Sequence[str], positions: Sequence[float], source: str) -> MeasuredJoints:
    """Return the joints of names and positions in any order.

    CalibrationError if an arm joint is missing or not finite.
    """
    known = dict(zip(names, positions, strict=False))
    missing = [name for name in ARM.joint_names if name not in known]
    if missing or len(names) != len(positions):
        raise CalibrationError(
            f"{source}: {len(names)} names, {len(positions)} positions, none of {', '.join(missing) or 'some'}; "
            f"expected one for each of {', '.join(ARM.joint_names)}"
        )
    arm_rad = np.array([known[name] for name in ARM.joint_names], dtype=np.float64)
    if not np.all(np.isfinite(arm_rad)):
        raise CalibrationError(f"{source}: joint positions are {arm_rad.tolist()}, expected finite numbers [rad]")
    fingers = [float(known[name]) for name in ARM.gripper_joints if name in known]
    torso = known.get(ARM.torso_joint)
    finger_m = float(np.mean(fingers)) if fingers else None
    return MeasuredJoints(arm_rad, finger_m, None if torso is None else float(torso))


def load_joints(path: Path) -> MeasuredJoints:
    """Return joints from a YAML file: ``name: position`` lines, or what ``ros2 topic echo --once /joint_states``
    prints.
    """
    content = read_mapping(path)
    try:
        if isinstance(content.get("name"), list):
            return joints_of([str(n) for n in content["name"]], [float(p) for p in content["position"]], str(path))
        return joints_of(list(content), [float(value) for value in content.values()], str(path))
    except (KeyError, TypeError, ValueError) as error:
        raise CalibrationError(
            f"{path}: {error!r}; expected lines like '{ARM.joint_names[0]}: 0.1', or a printed JointState"
        ) from None


def load_rgb(path: Path) -> NDArray[np.uint8]:
    """Return a colour picture (H, W, 3) from a file."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise CalibrationError(f"{path} is not a picture that can be read, expected a PNG")
    return np.ascontiguousarray(picture[..., ::-1], dtype=np.uint8)


def load_depth_mm(path: Path) -> NDArray[np.uint16]:
    """Return the depth (H, W) [mm] that a 16 bit PNG holds."""
    picture: Any = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if picture is None or picture.dtype != np.uint16 or picture.ndim != 2:
        found = "unreadable" if picture is None else f"{picture.shape} {picture.dtype}"
        raise CalibrationError(f"{path} is {found}, expected a PNG of one 16 bit channel with depth in millimetres")
    return np.ascontiguousarray(picture)


def is_new_pose(joints: MeasuredJoints, known: Sequence[Snapshot]) -> bool:
    """Return whether the arm is elsewhere than in all ``known`` poses."""
    return all(np.abs(joints.arm_rad - other.joints.arm_rad).max() > NEXT_POSE_RAD for other in known)


def combined(snapshots: Sequence[Snapshot]) -> Snapshot:
    """Return several snapshots of one scene as one with less noise: per pixel the median of the depths that there are.

    CalibrationError if the arm moved, or there is none.
    """
    if not snapshots:
        raise CalibrationError("no frames with colour, depth, intrinsics and joints of the same moment were found")
    arms = np.array([snapshot.joints.arm_rad for snapshot in snapshots])
    motion = float(np.ptp(arms, axis=0).max())
    if motion > MAX_MOTION_RAD:
        raise CalibrationError(
            f"a joint moved by {motion:.3f} rad while {len(snapshots)} frames were taken, expected at most "
            f"{MAX_MOTION_RAD}: let the arm rest, or use fewer frames"
        )
    if len(snapshots) == 1:
        return snapshots[0]
    depths = np.array([snapshot.depth_mm for snapshot in snapshots], dtype=np.float32)
    depths[depths == 0] = np.nan
    seen = np.isfinite(depths).any(axis=0)
    depth_mm = np.zeros(seen.shape, np.uint16)
    depth_mm[seen] = np.rint(np.nanmedian(depths[:, seen], axis=0)).astype(np.uint16)
    last = snapshots[-1]
    return Snapshot(last.rgb, depth_mm, last.intrinsics, last.joints)
