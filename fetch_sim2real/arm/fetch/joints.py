"""Names and hard limits of the Fetch's joints, from fetch_ros/fetch_description (fetch.urdf)."""

from __future__ import annotations

from typing import Final

import numpy as np

from fetch_sim2real.types import FloatArray

ARM_JOINTS: Final[tuple[str, ...]] = (
    "shoulder_pan_joint",
    "shoulder_lift_joint",
    "upperarm_roll_joint",
    "elbow_flex_joint",
    "forearm_roll_joint",
    "wrist_flex_joint",
    "wrist_roll_joint",
)
GRIPPER_JOINTS: Final[tuple[str, ...]] = ("r_gripper_finger_joint", "l_gripper_finger_joint")
COMMAND_JOINTS: Final[tuple[str, ...]] = ARM_JOINTS + GRIPPER_JOINTS
TORSO_JOINT: Final = "torso_lift_joint"


def _frozen(*values: float) -> FloatArray:
    array = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array


# Continuous joints are bounded at one turn each way: nothing here needs more, and a cable wound up by a run that
# always turns the same way is a fault that no limit would otherwise show.
CONTINUOUS_BOUND_RAD: Final = 2 * np.pi
POSITION_LOWER_RAD: Final = _frozen(
    -1.6056, -1.221, -CONTINUOUS_BOUND_RAD, -2.251, -CONTINUOUS_BOUND_RAD, -2.16, -CONTINUOUS_BOUND_RAD
)
POSITION_UPPER_RAD: Final = _frozen(
    1.6056, 1.518, CONTINUOUS_BOUND_RAD, 2.251, CONTINUOUS_BOUND_RAD, 2.16, CONTINUOUS_BOUND_RAD
)
VELOCITY_RAD_S: Final = _frozen(1.256, 1.454, 1.571, 1.521, 1.571, 2.268, 2.268)
EFFORT_NM: Final = _frozen(33.82, 131.76, 76.94, 66.18, 29.35, 25.7, 7.36)

FINGER_MAX_M: Final = 0.05
FINGER_FORCE_N: Final = 60.0
# For the whole way of a finger.
FINGER_TRAVEL_S: Final = 0.5
TORSO_RANGE_M: Final = (0.0, 0.38615)
