"""The policy node's parameters."""

from __future__ import annotations

from typing import Final

from fetch_sim2real import graph
from fetch_sim2real.policy.look_rate import EVERY_FRAME, LOOK_RATES
from fetch_sim2real.ros.parameters import Parameter

TABLE: Final = (
    Parameter("policy", "reach_block", "name of a shipped policy bundle, or folder of one"),
    Parameter("world", "", "the driver's world file, to aim the gripper within; empty: as trained"),
    Parameter("look", EVERY_FRAME, "when the actor sees; all but every frame are baselines", choices=LOOK_RATES),
    Parameter("calibration", "", "calibration file of the camera, for goals in its frame; empty: where it was trained"),
    Parameter("await_start", False, f"true: hold until {graph.POLICY_START}; false: act as soon as there is a goal"),
)
