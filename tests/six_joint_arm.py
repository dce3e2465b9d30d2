"""A small arm of six joints, without gripper and torso, its frames turned against each other; and its MuJoCo model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from fetch_sim2real.arm.collision import Scene
from fetch_sim2real.arm.kinematics import forward_kinematics
from fetch_sim2real.arm.spec import (
    AccelerationProfile,
    ArmSpec,
    BodyBox,
    Box,
    CollisionShapes,
    FixedLink,
    JointSpec,
    LinkSphere,
    MjcfSource,
    Point,
    ServoGains,
    ToolFrame,
)
from fetch_sim2real.arm.spec import frozen_array as array

PACKAGE = "six_joint_arm_model"
_X, _Y, _Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)


def _joint(number: int, origin_m: Point, axis: Point, rpy_rad: Point = (0.0, 0.0, 0.0)) -> JointSpec:
    return JointSpec(
        f"joint_{number}", f"link_{number}", origin_m, axis, -3.0, 3.0, 2.0, 50.0, origin_rpy_rad=rpy_rad
    )


_SPHERES = (
    LinkSphere("link_2", (0.2, 0.0, 0.0), 0.12),
    LinkSphere("link_3", (0.15, 0.0, 0.0), 0.05),
    LinkSphere("link_4", (0.0, 0.0, 0.05), 0.05),
    LinkSphere("link_6", (0.0, 0.0, 0.03), 0.04),
    LinkSphere("flange", (0.0, 0.0, 0.02), 0.03),
)
_ARM = ArmSpec(
    name="six",
    joints=(
        _joint(1, (0.0, 0.0, 0.4), _Z, (0.0, 0.0, 0.2)),
        _joint(2, (0.0, 0.05, 0.1), _Y),
        _joint(3, (0.3, 0.0, 0.0), _Y),
        _joint(4, (0.3, 0.0, 0.0), _Z, (0.0, np.pi / 2, 0.0)),
        _joint(5, (0.0, 0.0, 0.1), _X, (0.3, -0.2, 0.1)),
        _joint(6, (0.0, 0.02, 0.1), (0.6, 0.0, 0.8)),
    ),
    fixed_links=(FixedLink("flange", "link_6", (0.0, 0.0, 0.05), (0.0, 0.1, 0.4)),),
    tool=ToolFrame("flange", (0.0, 0.0, 0.04), (_X, _Y, _Z)),
    home_rad=array([0.1, -0.9, 1.4, 0.2, 0.5, -0.3]),
    profiles=(AccelerationProfile("default", (3.0, 3.0, 4.0, 5.0, 5.0, 6.0)),),
    default_profile="default",
    tracking_error_rad=(0.2,) * 6,
    reach_m=(1.2, 1.1, 0.8, 0.5, 0.4, 0.3),
    base_reach_m=1.2,
    shapes=CollisionShapes(
        spheres=_SPHERES,
        table_spheres=(1, 2, 3, 4),
        body_spheres=(2, 3, 4),
        self_pairs=((0, 2), (0, 3), (0, 4)),
        body=(BodyBox("column", (-0.1, -0.1, 0.0), (0.1, 0.1, 0.35)),),
    ),
    mjcf=MjcfSource(
        package=PACKAGE,
        requirement=PACKAGE,
        path=("arm.xml",),
        prefix="",
        root_body="base_link",
        gains=ServoGains(
            kp=array([500.0] * 6), kv=array([50.0] * 6), damping=array([1.0] * 6), armature=array([0.1] * 6)
        ),
    ),
)
_DOWN = forward_kinematics(_ARM.home_rad, 0.0, _ARM).rotation[-1]
SIX = replace(_ARM, tool=replace(_ARM.tool, working_rotation=tuple(tuple(row) for row in _DOWN.tolist())))
SCENE = Scene(
    torso_height_m=0.0,
    workspace_lower_m=(-1.2, -1.2, 0.3),
    workspace_upper_m=(1.2, 1.2, 1.6),
    tables=(Box("table", (0.3, -0.5, 0.0), (0.9, 0.5, 0.3)),),
    arm=SIX,
)


def write_model(folder: Path) -> None:
    """Write a Python package with the arm's MJCF, said anew from the spec: MuJoCo composes the frames by itself."""
    (folder / PACKAGE).mkdir()
    (folder / PACKAGE / "__init__.py").touch()
    inertial = '<inertial pos="0 0 0" mass="1" diaginertia="0.01 0.01 0.01"/>'
    opened = ""
    for joint in SIX.joints:
        opened += (
            f'<body name="{joint.link}" pos="{_text(joint.origin_m)}" euler="{_text(joint.origin_rpy_rad)}">{inertial}'
            f'<joint name="{joint.name}" axis="{_text(joint.axis)}" range="{joint.lower_rad} {joint.upper_rad}"/>'
        )
    flange = SIX.fixed_links[0]
    opened += f'<body name="{flange.name}" pos="{_text(flange.origin_m)}" euler="{_text(flange.origin_rpy_rad)}"/>'
    # Capitals: about fixed axes, as in URDF.
    (folder / PACKAGE / "arm.xml").write_text(
        '<mujoco><compiler angle="radian" eulerseq="XYZ"/><worldbody><body name="base_link">'
        f"{inertial}{opened}{'</body>' * len(SIX.joints)}</body></worldbody></mujoco>"
    )


def _text(point: Point) -> str:
    return " ".join(f"{value:.17g}" for value in point)
