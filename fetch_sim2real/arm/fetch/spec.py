"""What a Fetch is: names and limits from fetch_ros (fetch.urdf), shapes, servos and profiles of this project."""

from __future__ import annotations

from typing import Final

import numpy as np

from fetch_sim2real.arm.fetch.algebra import (
    ELBOW_FLEX_X_M,
    FOREARM_ROLL_X_M,
    GRIPPER_X_M,
    SHOULDER_LIFT_M,
    UPPERARM_ROLL_X_M,
    WRIST_FLEX_X_M,
    WRIST_ROLL_X_M,
    FetchAlgebra,
)
from fetch_sim2real.arm.fetch.spheres import SHAPES
from fetch_sim2real.arm.spec import (
    AccelerationProfile,
    ArmSpec,
    FingerServo,
    FixedLink,
    GripperSpec,
    JointSpec,
    MjcfSource,
    ServoGains,
    ToolFrame,
    TorsoSpec,
    frozen_array,
)

_X, _Y, _Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
# Continuous joints are bounded at one turn each way: nothing here needs more, and a cable wound up by a run that
# always turns the same way is a fault that no limit would otherwise show.
_TURN: Final = 2 * np.pi

_JOINTS: Final = (
    JointSpec("shoulder_pan_joint", "shoulder_pan_link", (0.1195, 0.0, 0.3486), _Z, -1.6056, 1.6056, 1.256, 33.82),
    JointSpec("shoulder_lift_joint", "shoulder_lift_link", SHOULDER_LIFT_M, _Y, -1.221, 1.518, 1.454, 131.76),
    JointSpec(
        "upperarm_roll_joint", "upperarm_roll_link", (UPPERARM_ROLL_X_M, 0.0, 0.0), _X, -_TURN, _TURN, 1.571, 76.94,
        is_continuous=True,
    ),
    JointSpec("elbow_flex_joint", "elbow_flex_link", (ELBOW_FLEX_X_M, 0.0, 0.0), _Y, -2.251, 2.251, 1.521, 66.18),
    JointSpec(
        "forearm_roll_joint", "forearm_roll_link", (FOREARM_ROLL_X_M, 0.0, 0.0), _X, -_TURN, _TURN, 1.571, 29.35,
        is_continuous=True,
    ),
    JointSpec("wrist_flex_joint", "wrist_flex_link", (WRIST_FLEX_X_M, 0.0, 0.0), _Y, -2.16, 2.16, 2.268, 25.7),
    JointSpec(
        "wrist_roll_joint", "wrist_roll_link", (WRIST_ROLL_X_M, 0.0, 0.0), _X, -_TURN, _TURN, 2.268, 7.36,
        is_continuous=True,
    ),
)  # fmt: skip

# Fingertip reach, and sideways for the last roll.
_TIP_X_M, _TIP_Y_M = 0.04, 0.06
_HAND_M: Final = WRIST_ROLL_X_M + GRIPPER_X_M + _TIP_X_M
_FOREARM_M: Final = FOREARM_ROLL_X_M + WRIST_FLEX_X_M + _HAND_M
_ARM_M: Final = UPPERARM_ROLL_X_M + ELBOW_FLEX_X_M + _FOREARM_M

_MJCF: Final = MjcfSource(
    package="gymnasium_robotics",
    requirement="gymnasium-robotics>=1.4.2,<1.5",
    path=("envs", "assets", "fetch", "reach.xml"),
    prefix="robot0:",
    root_body="base_link",
    torso_body="torso_lift_link",
    # Frames of cameras that nothing looks through: without mass and shape they would only cost time in every physics
    # step.
    removed_bodies=("head_camera_link", "gripper_camera_link", "external_camera_body_0"),
    # The torso's body in the model is at the joint's zero.
    removed_joints=("slide0", "slide1", "slide2", "torso_lift_joint", "head_pan_joint", "head_tilt_joint"),
    colliding_geoms=(
        "elbow_flex_link", "forearm_roll_link", "wrist_flex_link", "wrist_roll_link", "gripper_link",
        "r_gripper_finger_link", "l_gripper_finger_link",
    ),
    # The laser scanner. The table hides it from a camera across from the robot; one that stands where it could be seen
    # does not see it.
    hidden_geoms=("laser_link",),
    # Damping takes about a tenth of the rated effort at the rated speed. Armatures are the size of the link inertia
    # seen at each joint, so that the servo's bandwidth does not depend on what the gripper holds.
    gains=ServoGains(
        kp=frozen_array([2500.0, 3000.0, 1500.0, 1500.0, 600.0, 600.0, 300.0]),
        kv=frozen_array([200.0, 250.0, 90.0, 90.0, 30.0, 30.0, 12.0]),
        damping=frozen_array([2.5, 8.0, 4.0, 4.0, 1.5, 1.0, 0.3]),
        armature=frozen_array([0.3, 0.4, 0.3, 0.3, 0.12, 0.12, 0.05]),
    ),
    # The original gives a finger 4 kg.
    fingers=FingerServo(
        kp=4000.0, kv=150.0, damping=20.0, armature_kg=1.0, mass_kg=0.06, inertia_kg_m2=(2e-5, 2e-5, 2e-5)
    ),
)  # fmt: skip

FETCH: Final = ArmSpec(
    name="fetch",
    joints=_JOINTS,
    fixed_links=(FixedLink("gripper_link", "wrist_roll_link", (GRIPPER_X_M, 0.0, 0.0)),),
    # The point between the fingertips; pointing straight down, fingers opening along base_link's y.
    tool=ToolFrame("gripper_link", (0.02, 0.0, 0.0), ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (-1.0, 0.0, 0.0))),
    # Elbow up, gripper down over a table in front of the robot.
    home_rad=frozen_array([0.0, -0.75, 0.0, 1.35, 0.0, np.pi / 2 - 0.6, 0.0]),
    profiles=(
        # fetch_moveit_config's joint_limits.yaml: conservative values meant for planning.
        AccelerationProfile("gentle", (1.5, 1.0, 1.5, 1.5, 1.5, 2.5, 2.5)),
        # With every joint at its velocity limit and at this acceleration at once, in the worst of all sign combinations
        # and anywhere in the workspace, the effort needed stays within the robot's rating; shoulder pan is the joint
        # that decides (0.98 of it, the others 0.73 or less). tests/test_robot_model.py recomputes it from the model.
        AccelerationProfile("default", (2.4, 3.5, 6.0, 6.0, 8.0, 8.0, 10.0)),
    ),
    default_profile="default",
    tracking_error_rad=(0.2, 0.2, 0.25, 0.25, 0.3, 0.3, 0.35),
    reach_m=(SHOULDER_LIFT_M[0] + _ARM_M, _ARM_M, _FOREARM_M, _FOREARM_M, _HAND_M, _HAND_M, _TIP_Y_M),
    base_reach_m=1.0,
    shapes=SHAPES,
    mjcf=_MJCF,
    gripper=GripperSpec(("r_gripper_finger_joint", "l_gripper_finger_joint"), 0.05, 60.0, 0.5),
    torso=TorsoSpec("torso_lift_joint", (0.0, 0.38615), (-0.0869, 0.0, 0.3774)),
    algebra=FetchAlgebra,
)
