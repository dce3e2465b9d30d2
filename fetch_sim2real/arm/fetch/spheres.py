"""Shapes for collision checks: spheres around the moving links, boxes around the rest of the robot.

The spheres were fitted to the collision meshes of Fetch's links (surfaces inside the union to 2 mm); the
boxes bound the meshes of the base, the torso and the head.
"""

from __future__ import annotations

from typing import Final

from fetch_sim2real.arm.spec import BodyBox, CollisionShapes, LinkSphere

SHOULDER_SPHERES: Final = (
    LinkSphere("shoulder_pan_link", (0.007, -0.006, 0.035), 0.103),
    LinkSphere("shoulder_pan_link", (0.102, -0.031, 0.048), 0.085),
    LinkSphere("shoulder_lift_link", (0.010, 0.029, 0.000), 0.077),
    LinkSphere("shoulder_lift_link", (0.112, 0.009, 0.000), 0.085),
)
UPPERARM_SPHERES: Final = (
    LinkSphere("upperarm_roll_link", (-0.034, 0.000, 0.000), 0.056),
    LinkSphere("upperarm_roll_link", (-0.004, -0.002, 0.000), 0.0575),
    LinkSphere("upperarm_roll_link", (0.028, -0.006, 0.000), 0.060),
    LinkSphere("upperarm_roll_link", (0.060, -0.015, 0.000), 0.062),
    LinkSphere("upperarm_roll_link", (0.095, -0.025, 0.000), 0.064),
    LinkSphere("upperarm_roll_link", (0.134, -0.032, 0.000), 0.061),
)
FOREARM_SPHERES: Final = (
    LinkSphere("elbow_flex_link", (0.002, 0.031, 0.000), 0.063),
    LinkSphere("elbow_flex_link", (0.058, 0.018, 0.000), 0.067),
    LinkSphere("elbow_flex_link", (0.128, 0.003, 0.000), 0.066),
    LinkSphere("forearm_roll_link", (0.002, 0.000, 0.000), 0.063),
    LinkSphere("forearm_roll_link", (0.050, -0.041, 0.000), 0.064),
    LinkSphere("forearm_roll_link", (0.120, -0.053, 0.000), 0.062),
)
WRIST_SPHERES: Final = (
    LinkSphere("wrist_flex_link", (0.001, 0.004, 0.000), 0.079),
    LinkSphere("wrist_flex_link", (0.062, 0.005, 0.000), 0.077),
    LinkSphere("wrist_roll_link", (-0.009, 0.000, 0.000), 0.054),
    LinkSphere("gripper_link", (-0.125, -0.026, 0.000), 0.055),
    LinkSphere("gripper_link", (-0.125, 0.026, 0.000), 0.055),
    LinkSphere("gripper_link", (-0.066, -0.029, 0.003), 0.053),
    LinkSphere("gripper_link", (-0.066, 0.029, 0.003), 0.053),
)
# Both fingers at any opening, for what need not be approached closely.
HAND_SPHERE: Final = LinkSphere("gripper_link", (-0.002, 0.0, 0.0), 0.078)

# For tables: small ones, because the fingers work millimetres above them. They end where the fingertips end (38.5 mm
# beyond the link's origin) and stand for the fingers at any opening: what lies between their outermost positions is
# clear of a plane if those are.
_TIPS: Final = tuple(LinkSphere("gripper_link", (0.025, y_m, 0.0), 0.0135) for y_m in (-0.058, -0.02, 0.02, 0.058))
_TIP_CORNERS: Final = tuple(
    LinkSphere("gripper_link", (0.0355, y_m, z_m), 0.003) for y_m in (-0.062, 0.062) for z_m in (-0.0105, 0.0105)
)
_ROOTS: Final = tuple(LinkSphere("gripper_link", (-0.012, y_m, 0.0), 0.022) for y_m in (-0.05, -0.02, 0.02, 0.05))
FINGER_SPHERES: Final = (*_TIPS, *_TIP_CORNERS, *_ROOTS)

# The torso's lifted part begins at torso_lift_link, so the upper boxes move with its height.
_TORSO_X_M: Final = -0.0869
_BASE_TOP_M: Final = 0.36
_BACK_M: Final = _TORSO_X_M - 0.186


def _lifted(name: str, lower: tuple[float, float, float], upper: tuple[float, float, float]) -> BodyBox:
    return BodyBox(name, lower, upper, lifts_lower=True, lifts_upper=True)


# Base, torso and head; those of the head cover 45 degrees of pan.
BODY_BOXES: Final = (
    BodyBox("base", (-0.287, -0.264, 0.0), (0.287, 0.264, _BASE_TOP_M)),
    BodyBox("torso", (_BACK_M, -0.171, _BASE_TOP_M), (_TORSO_X_M + 0.051, 0.171, 0.45), lifts_upper=True),
    _lifted("shoulder mount", (_TORSO_X_M, -0.056, 0.17), (_TORSO_X_M + 0.173, 0.056, 0.305)),
    _lifted("neck", (_BACK_M, -0.171, 0.45), (_TORSO_X_M + 0.134, 0.171, 0.604)),
    # The head's front is round: in steps from the chin up.
    _lifted("chin", (-0.16, -0.2, 0.6), (0.15, 0.2, 0.618)),
    _lifted("mouth", (-0.16, -0.2, 0.618), (0.155, 0.2, 0.63)),
    _lifted("nose", (-0.16, -0.2, 0.63), (0.16, 0.2, 0.64)),
    _lifted("head", (-0.16, -0.2, 0.64), (0.165, 0.2, 0.72)),
)

# The fine fingers, the arm from shoulder to gripper, the coarse hand. A table's checks use the fine fingers, all others
# the coarse hand.
_SPHERES: Final = (
    *FINGER_SPHERES, *SHOULDER_SPHERES, *UPPERARM_SPHERES, *FOREARM_SPHERES, *WRIST_SPHERES, HAND_SPHERE,
)  # fmt: skip
_SHOULDER: Final = len(FINGER_SPHERES)
_UPPERARM: Final = _SHOULDER + len(SHOULDER_SPHERES)
_FOREARM: Final = _UPPERARM + len(UPPERARM_SPHERES)
_WRIST: Final = _FOREARM + len(FOREARM_SPHERES)

SHAPES: Final = CollisionShapes(
    spheres=_SPHERES,
    table_spheres=tuple(range(len(_SPHERES) - 1)),
    # The shoulder cannot reach the body it is mounted on; the forearm cannot fold onto the upper arm (the elbow stops
    # at 129 degrees). What can touch the upper arm and the shoulder is the wrist and all that follows it.
    body_spheres=tuple(range(_UPPERARM, len(_SPHERES))),
    self_pairs=tuple((inner, outer) for inner in range(_SHOULDER, _FOREARM) for outer in range(_WRIST, len(_SPHERES))),
    body=BODY_BOXES,
)
