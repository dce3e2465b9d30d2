"""The whole closed loop in one process: world, inverse kinematics and safety filter, without ROS.

Training acts through this, so an actor learns with the limits, the filter and the delays that it will meet. The ROS
graph in lockstep gives the same commands for the same seed and policy (a test compares them).
"""

from __future__ import annotations

from dataclasses import dataclass

from fetch_sim2real.arm.ik import DifferentialIk, TargetBox
from fetch_sim2real.arm.kinematics import grip_position
from fetch_sim2real.arm.limits import LimitProfile, limit_profile
from fetch_sim2real.control.action import action_to_command
from fetch_sim2real.control.filter import Decision, SafetyFilter
from fetch_sim2real.control.target_box import common_box, target_box_of
from fetch_sim2real.policy.manifest import Manifest
from fetch_sim2real.sim.disturbances.conditions import NO_CONDITIONS, Conditions
from fetch_sim2real.sim.randomization.sample import EpisodeDraw
from fetch_sim2real.sim.sensors.camera_timing import Captured
from fetch_sim2real.sim.simulation import Simulation
from fetch_sim2real.types import FloatArray, JointSample, JointSetpoint


@dataclass(frozen=True)
class ActionSettings:
    """How actions become motion: gripper displacement [m] per period of a full action, whether it opens fingers, and
    the box that the gripper is not asked to leave; of a bundle, the one that it was trained with."""

    scale_m: float
    controls_gripper: bool
    target_box_m: TargetBox
    profile: LimitProfile

    @staticmethod
    def of_bundle(manifest: Manifest) -> ActionSettings:
        """As the bundle was trained."""
        action = manifest.action
        return ActionSettings(
            action.scale_m, action.gripper == "controlled", action.target_box_m, limit_profile(manifest.limit_profile)
        )


class ClosedLoop:
    """Steps one simulated cell by actions. Frames come with the camera's delay, commands act with theirs."""

    def __init__(self, sim: Simulation, settings: ActionSettings) -> None:
        self.sim = sim
        self._settings = settings
        self._target_box_m = common_box(settings.target_box_m, target_box_of(sim.world.workcell))
        self._ik = DifferentialIk(sim.world.workcell.torso_height_m)
        self._scene = sim.world.workcell.scene()

    def reset(
        self, seed: int, move_block: bool = False, conditions: Conditions = NO_CONDITIONS
    ) -> EpisodeDraw:
        """Start the episode of ``seed`` with the driver active; ``next_frame`` gives the first frame."""
        draw = self.sim.reset(seed, move_block, conditions)
        self._samples: dict[int, JointSample] = {}
        self._filter = SafetyFilter(self._settings.profile, self._scene)
        self._obey(self._filter.activate(self.sim.now_ns, self.sim.measured()))
        return draw

    @property
    def setpoint(self) -> JointSetpoint:
        """Commanded state of the arm at the end of the present period."""
        return self._setpoint

    def grip_position_m(self, position: FloatArray) -> FloatArray:
        """Gripper position (3,) [m] in base_link of measured joint positions (7,)."""
        return grip_position(position, self.sim.world.workcell.torso_height_m)

    def next_frame(self) -> Captured | None:
        """Run until the next frame is there; None when the episode is over (``sim.outcome`` tells how)."""
        captured = self.sim.advance_to_next_frame()
        self._notice()
        return captured

    def frame_after_end(self) -> Captured:
        """After the last frame, the one that would have come if the episode went on."""
        captured = self.sim.frame_after_end()
        self._notice()
        return captured

    def _notice(self) -> None:
        """The driver has heard the joint states and looks at the time."""
        for sample in self.sim.take_joint_samples():
            self._filter.on_joint_sample(sample)
            self._samples[sample.stamp_ns] = sample
        noticed = self._filter.tick(self.sim.now_ns)
        if noticed is not None:
            self._obey(noticed)

    def joints_at(self, captured: Captured) -> JointSample:
        """The joint state of the frame's own time."""
        return self._samples.pop(captured.stamp_ns)

    def act(self, action: FloatArray, captured: Captured) -> Decision:
        """Act (4,) on ``captured``, as policy node and driver do together."""
        settings = self._settings
        command = action_to_command(
            action,
            self._setpoint,
            self._ik,
            settings.scale_m,
            settings.controls_gripper,
            self._target_box_m,
            captured.stamp_ns,
        )
        decision = self._filter.on_command(self.sim.now_ns, command)
        self._obey(decision)
        return decision

    def _obey(self, decision: Decision) -> None:
        self._setpoint: JointSetpoint = decision.setpoint
        if decision.trajectory is not None:
            self.sim.send_arm(decision.trajectory)
        if decision.finger_position_m is not None:
            self.sim.send_fingers(decision.finger_position_m)
