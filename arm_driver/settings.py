"""The driver's parameters."""

from __future__ import annotations

from typing import Final

from arm_driver.backends import MODES
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.limits import DEFAULT_PROFILE, PROFILES
from fetch_sim2real.control.checks import FINGER_EFFORT_LOW_N, FINGER_REOPEN_HIGH_S, FilterSettings
from fetch_sim2real.robot_backends import JOINT_TRAJECTORY, backend_names
from fetch_sim2real.ros.parameters import Parameter
from fetch_sim2real.rosbridge.topics import DEFAULT_PORT
from fetch_sim2real.stack.heartbeat import HEARTBEATS, OPERATOR

TABLE: Final = (
    Parameter("profile", DEFAULT_PROFILE, "limits of the commanded motion", choices=tuple(PROFILES)),
    Parameter(
        "speed_scale",
        1.0,
        "cap on the speed, as a share of the profile's; takes effect at once; while the arm is active only downwards",
        low=0.01,
        high=1.0,
        changeable=True,
    ),
    Parameter(
        "gripper_effort",
        FilterSettings.finger_effort_n,
        "greatest force of the gripper; goals by rosbridge carry it, a joint trajectory has no place for it",
        "N",
        low=FINGER_EFFORT_LOW_N,
        high=ARM.finger_force_n,
    ),
    Parameter(
        "gripper_reopen_time",
        FilterSettings.finger_reopen_s,
        "least time between two goals that open a closing gripper: a later one waits, the newest wins",
        "s",
        low=0.0,
        high=FINGER_REOPEN_HIGH_S,
    ),
    Parameter("world", "nominal", "world file that gives workspace, table and torso height: a name, or a path"),
    Parameter("backend", JOINT_TRAJECTORY, "way to the robot", choices=backend_names()),
    Parameter(
        "mode",
        "live",
        "live: what passes the filter goes to the robot; shadow: it is only published, under ~/shadow",
        choices=MODES,
    ),
    Parameter("watch_base", True, "brake when the base moves while the arm is enabled, where there is odometry"),
    Parameter(
        "base_tolerance_m",
        0.02,
        "how far the base may move, a turn counted as what it moves the gripper by, a metre away",
        unit="m",
        low=0.001,
        high=0.5,
    ),
    Parameter(
        "heartbeat",
        OPERATOR,
        "who has to be there while the arm moves on a robot; operator: whoever enables says so on ~/heartbeat; launch: "
        "the process that started the driver lives; off: nobody",
        choices=HEARTBEATS,
    ),
    Parameter("rosbridge_host", "127.0.0.1", "machine that rosbridge_server runs on: the Fetch"),
    Parameter("rosbridge_port", DEFAULT_PORT, "port of rosbridge_server", low=1, high=65535),
    Parameter("lockstep", False, "true: time is the simulation's, which waits for this node"),
)
