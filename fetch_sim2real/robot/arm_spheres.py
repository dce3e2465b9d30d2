"""Shapes for collision checks: spheres around the moving links, boxes around the rest of the robot.

The spheres were fitted to the collision meshes of Fetch's links (surfaces inside the union to a few millimetres); the
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
    LinkSphere("upperarm_roll_link", (-0.032, 0.000, 0.000), 0.056),
    LinkSphere("upperarm_roll_link", (0.003, 0.000, 0.000), 0.056),
    LinkSphere("upperarm_roll_link", (0.040, -0.006, 0.000), 0.058),
    LinkSphere("upperarm_roll_link", (0.085, -0.023, 0.000), 0.062),
    LinkSphere("upperarm_roll_link", (0.132, -0.031, 0.000), 0.062),
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

# For the table: small ones, because the fingers work millimetres above it. They end where the fingertips end
# (38.5 mm beyond the link's origin) and stand for the fingers at their inner, middle and outer positions.
_TIP_X_M, _TIP_RADIUS_M = 0.025, 0.0135
_ROOT_X_M, _ROOT_RADIUS_M = -0.012, 0.022
_TIP_Y_M: Final = (-0.058, -0.033, -0.008, 0.008, 0.033, 0.058)
_ROOT_Y_M: Final = (-0.050, -0.020, 0.020, 0.050)
FINGER_SPHERES: Final = (
    *(LinkSphere("gripper_link", (_TIP_X_M, y_m, 0.0), _TIP_RADIUS_M) for y_m in _TIP_Y_M),
    *(LinkSphere("gripper_link", (_ROOT_X_M, y_m, 0.0), _ROOT_RADIUS_M) for y_m in _ROOT_Y_M),
)

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
        # The head's front is round: three steps from the chin up.
        Box("chin", (-0.16, -0.2, z_m + 0.6), (0.15, 0.2, z_m + 0.62)),
        Box("mouth", (-0.16, -0.2, z_m + 0.62), (0.16, 0.2, z_m + 0.638)),
        Box("head", (-0.16, -0.2, z_m + 0.638), (0.166, 0.2, z_m + 0.72)),
    )
