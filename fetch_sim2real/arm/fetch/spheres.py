"""Shapes for collision checks: spheres around the moving links, boxes around the rest of the robot.

The spheres were fitted to the collision meshes of Fetch's links (surfaces inside the union to 2 mm); the
boxes bound the meshes of the base, the torso and the head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

Point = tuple[float, float, float]


@dataclass(frozen=True)
class LinkSphere:
    """A sphere fixed in a link: centre in the link's frame and radius, in metres."""

    link: str
    center_m: Point
    radius_m: float


@dataclass(frozen=True)
class Box:
    """An axis-aligned box in ``base_link`` [m]."""

    name: str
    lower_m: Point
    upper_m: Point


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
TORSO_LIFT_Z_M: Final = 0.3774
_TORSO_X_M: Final = -0.0869
_BASE_TOP_M: Final = 0.36


def body_boxes(torso_height_m: float) -> tuple[Box, ...]:
    """Base, torso and head with the torso lifted by ``torso_height_m``; those of the head cover 45 degrees of pan."""
    z_m = TORSO_LIFT_Z_M + torso_height_m
    back_m = _TORSO_X_M - 0.186
    return (
        Box("base", (-0.287, -0.264, 0.0), (0.287, 0.264, _BASE_TOP_M)),
        Box("torso", (back_m, -0.171, _BASE_TOP_M), (_TORSO_X_M + 0.051, 0.171, z_m + 0.45)),
        Box("shoulder mount", (_TORSO_X_M, -0.056, z_m + 0.17), (_TORSO_X_M + 0.173, 0.056, z_m + 0.305)),
        Box("neck", (back_m, -0.171, z_m + 0.45), (_TORSO_X_M + 0.134, 0.171, z_m + 0.604)),
        # The head's front is round: in steps from the chin up.
        Box("chin", (-0.16, -0.2, z_m + 0.6), (0.15, 0.2, z_m + 0.618)),
        Box("mouth", (-0.16, -0.2, z_m + 0.618), (0.155, 0.2, z_m + 0.63)),
        Box("nose", (-0.16, -0.2, z_m + 0.63), (0.16, 0.2, z_m + 0.64)),
        Box("head", (-0.16, -0.2, z_m + 0.64), (0.165, 0.2, z_m + 0.72)),
    )
