"""One step of the actor: frame, joints, goal and setpoint -> joint command."""

from __future__ import annotations

from fetch_sim2real.arm.ik import DifferentialIk, TargetBox
from fetch_sim2real.arm.kinematics import grip_position
from fetch_sim2real.control.action import action_to_command
from fetch_sim2real.messages.camera_info import camera_model_of
from fetch_sim2real.messages.images import color_of, depth_of
from fetch_sim2real.perception.observe import observe
from fetch_sim2real.policy.bundle import PolicyBundle
from fetch_sim2real.policy.look_rates import Look
from fetch_sim2real.policy.pairing import FrameMessages
from fetch_sim2real.policy.runner import Policy
from fetch_sim2real.types import FloatArray, JointCommand, JointSample, JointSetpoint, RgbdFrame


class ActorStep:
    """A bundle's actor with its memory, and the inverse kinematics that turns actions into commands."""

    def __init__(self, bundle: PolicyBundle, look: Look, target_box_m: TargetBox) -> None:
        """``target_box_m``, lower and upper corner (3,): where the gripper is aimed at most."""
        self._manifest = bundle.manifest
        self._target_box_m = target_box_m
        self._policy = Policy(bundle, look)
        self._ik = DifferentialIk(bundle.manifest.torso_height_m)

    def reset(self) -> None:
        """Forget past observations and actions."""
        self._policy.reset()

    def command(
        self, messages: FrameMessages, joints: JointSample, goal_m: FloatArray, setpoint: JointSetpoint
    ) -> JointCommand:
        """The command for one period; ObservationError or CommandError if there is no sound one."""
        manifest = self._manifest
        observation = observe(
            manifest.observation,
            RgbdFrame(messages.stamp_ns, color_of(messages.color), depth_of(messages.depth)),
            camera_model_of(messages.info),
            joints,
            setpoint.position,
            goal_m,
            self._policy.last_actions,
            self._grip_position_m,
        )
        return action_to_command(
            self._policy.act(observation),
            setpoint,
            self._ik,
            manifest.action.scale_m,
            manifest.action.gripper == "controlled",
            self._target_box_m,
            messages.stamp_ns,
        )

    def _grip_position_m(self, position: FloatArray) -> FloatArray:
        return grip_position(position, self._manifest.torso_height_m)
