"""JointState messages to samples and back."""

from __future__ import annotations

from typing import Final

from sensor_msgs.msg import JointState

from fetch_sim2real.arm.fetch.joints import ARM_JOINTS, COMMAND_JOINTS, TORSO_JOINT
from fetch_sim2real.messages.joint_states import ACTIVATED, JointStateMerger, sent_of, setpoint_of
from fetch_sim2real.ros.stamps import stamp_message
from fetch_sim2real.types import JointSample, JointSetpoint

__all__ = ["ACTIVATED", "JointStateMerger", "joint_state_message", "sent_of", "setpoint_message", "setpoint_of"]

_ROBOT_NAMES: Final = [*COMMAND_JOINTS, TORSO_JOINT]


def joint_state_message(sample: JointSample, torso_height_m: float) -> JointState:
    """What a robot reports: arm, fingers and torso in one message."""
    message = JointState(name=_ROBOT_NAMES)
    message.header.stamp = stamp_message(sample.stamp_ns)
    fingers = [sample.finger_position_m] * 2
    message.position = [*sample.position.tolist(), *fingers, torso_height_m]
    message.velocity = [*sample.velocity.tolist(), 0.0, 0.0, 0.0]
    return message


def setpoint_message(setpoint: JointSetpoint, stamp_ns: int, decision: str, sent: tuple[int, int]) -> JointState:
    """/arm_driver/setpoint: the decision in frame_id; ``sent``, in effort, counts trajectories to arm and gripper.

    The counts let a simulated robot wait for what is still on its way to it.
    """
    message = JointState(name=list(ARM_JOINTS) if setpoint.position.size else [])
    message.header.stamp = stamp_message(stamp_ns)
    message.header.frame_id = decision
    message.position = setpoint.position.tolist()
    message.velocity = setpoint.velocity.tolist()
    message.effort = [float(count) for count in sent]
    return message
