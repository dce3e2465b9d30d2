"""Trajectories on topics: for ros2_control's joint_trajectory_controller, a relay to ROS 1, or the simulated robot."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Final

import numpy as np
from rcl_interfaces.msg import ParameterType
from rcl_interfaces.srv import GetParameters
from rclpy.client import Client
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import qos_profile_system_default
from rclpy.task import Future

from arm_driver.backend import Backend
from arm_driver.driver_interface import Driver
from fetch_sim2real import graph
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.messages.motion import encode_trajectory
from fetch_sim2real.messages.stamps import decode_stamp
from fetch_sim2real.ros.topics import publish_to
from fetch_sim2real.types import JointTrajectory, TrajectoryPoint


def _gripper_trajectory(opening_m: float) -> JointTrajectory:
    """Both fingers to ``opening_m``. It cannot say with which force: that is the controller's own limit."""
    opening = np.full(len(ARM.gripper_joints), opening_m)
    return JointTrajectory(ARM.gripper_joints, (TrajectoryPoint(ARM.finger_travel_s, opening, np.zeros_like(opening)),))


class PublishedTrajectories(Backend):
    """Publishes what is sent on two topics."""

    def __init__(self, node: Node, arm: graph.Topic, gripper: graph.Topic) -> None:
        self._arm, self._gripper = publish_to(node, arm), publish_to(node, gripper)
        self._arm_count, self._gripper_count = 0, 0

    def send_arm(self, trajectory: JointTrajectory) -> None:
        """See Backend."""
        self._arm_count += 1
        self._arm.publish(encode_trajectory(trajectory, self._arm_count))

    def send_gripper(self, opening_m: float) -> None:
        """See Backend."""
        self._gripper_count += 1
        self._gripper.publish(encode_trajectory(_gripper_trajectory(opening_m), self._gripper_count))

    def close(self) -> None:
        """See Backend."""


class JointTrajectoryBackend(PublishedTrajectories):
    """Publishes to the arm's and the gripper's trajectory topics, and looks at the arm's controller."""

    def __init__(self, driver: Driver) -> None:
        super().__init__(driver.node, graph.ARM_TRAJECTORY, graph.GRIPPER_TRAJECTORY)
        self.outputs = (self._arm, self._gripper)
        self._driver = driver
        # A simulated controller does as its world says.
        self._watch = None if driver.is_simulated else ControllerWatch(driver.node, self._arm, lambda: driver.is_active)

    def complaint(self) -> str:
        """See Backend."""
        return "" if self._watch is None else self._watch.complaint()

    def tick(self) -> None:
        """See Backend."""
        if self._watch is not None and not self._driver.is_active:
            self._watch.look()

    def report(self) -> Mapping[str, object]:
        """See Backend."""
        return {} if self._watch is None else self._watch.report()


PARAMETER: Final = "interpolate_from_desired_state"
DESIRED, MEASURED, UNKNOWN = "desired", "measured", "unknown"
ADVICE: Final = f"set {PARAMETER}: true in its parameters, as in config/controllers.yaml"
# Beyond this a reference has jumped. A steady one is off a straight line in velocity by some milliradians between two
# reports, 20 ms apart, at most.
_JUMP_RAD: Final = 0.01
_MAX_GAP_S: Final = 0.06
_ASK_EVERY_S: Final = 1.0
_PATIENCE_S: Final = 2.0


class ReferenceWatch:
    """The reference of a controller from report to report. One that goes on from where it was moves without jumps.

    Only what the driver has it do is judged, anew each time that it begins: what was wrong may have been repaired.
    """

    def __init__(self) -> None:
        self._before: tuple[float, np.ndarray, np.ndarray] | None = None
        self._was_ours = False
        self.largest_jump_rad = 0.0

    def note(
        self, time_s: float, positions_rad: Sequence[float], velocities_rad_s: Sequence[float], *, is_ours: bool = True
    ) -> None:
        """Take in the reference at ``time_s``; one without velocities, or with other joints than the last, begins anew.

        ``is_ours``: whether it follows the driver's trajectories.
        """
        if is_ours and not self._was_ours:
            self._before, self.largest_jump_rad = None, 0.0
        self._was_ours = is_ours
        if not is_ours:
            return
        now = (time_s, np.array(positions_rad, dtype=np.float64), np.array(velocities_rad_s, dtype=np.float64))
        before, self._before = self._before, now
        if before is None or not now[1].shape == now[2].shape == before[1].shape or not now[1].size:
            return
        gap_s = time_s - before[0]
        if 0.0 < gap_s <= _MAX_GAP_S and before[2].shape == now[2].shape:
            jump = np.abs(now[1] - before[1] - 0.5 * gap_s * (before[2] + now[2])).max()
            if np.isfinite(jump):
                self.largest_jump_rad = max(self.largest_jump_rad, float(jump))


class ControllerWatch:
    """Asks whoever takes the trajectories now and then; also listens to its state, where control_msgs is installed."""

    def __init__(self, node: Node, trajectories: Publisher, is_ours: Callable[[], bool]) -> None:
        """``is_ours``: whether the controller follows this driver's trajectories now."""
        self._node, self._is_ours = node, is_ours
        self._topic = trajectories.topic_name
        # joint_trajectory_controller's topics lie under its own name.
        self._name = self._topic.removesuffix("/joint_trajectory")
        self._clients: dict[str, Client] = {}
        self._asked: dict[str, Future] = {}
        self._ask_at_s, self._give_up_at_s = 0.0, 0.0
        self._told: dict[str, str] = {}
        self._reference = ReferenceWatch()
        self._listens = self._listen()

    def _listen(self) -> bool:
        try:
            message: Any = import_module("control_msgs.msg").JointTrajectoryControllerState
        except (ModuleNotFoundError, AttributeError):
            return False  # not everywhere: the parameters are what counts
        topic = f"{self._name}/controller_state"
        self._node.create_subscription(message, topic, self._on_state, qos_profile_system_default)
        return True

    def _on_state(self, message: Any) -> None:
        reference = getattr(message, "reference", None)  # "desired" until Humble
        if reference is not None:
            stamp_s = decode_stamp(message.header.stamp) * 1e-9
            self._reference.note(stamp_s, reference.positions, reference.velocities, is_ours=self._is_ours())

    def look(self) -> None:
        """Take answers in, and ask again when it is time. Never waits."""
        now_s = time.monotonic()
        for name in [name for name, future in self._asked.items() if future.done()]:
            self._told[name] = _answer_of(self._asked.pop(name))
        if now_s < self._ask_at_s or (self._asked and now_s < self._give_up_at_s):
            return
        for name, future in self._asked.items():
            self._clients[name].remove_pending_request(future)
        self._asked.clear()
        self._ask_at_s, self._give_up_at_s = now_s + _ASK_EVERY_S, now_s + _PATIENCE_S
        listeners = {
            f"{info.node_namespace.rstrip('/')}/{info.node_name}"
            for info in self._node.get_subscriptions_info_by_topic(self._topic)
        }
        present = {self._name, *listeners}
        self._told = {name: answer for name, answer in self._told.items() if name in present}
        for name in sorted(name for name in present if "UNKNOWN" not in name):  # not discovered to the end yet
            client = self._clients.get(name)
            if client is None:
                client = self._clients[name] = self._node.create_client(GetParameters, f"{name}/get_parameters")
            if client.service_is_ready():
                self._asked[name] = client.call_async(GetParameters.Request(names=[PARAMETER]))
            else:
                self._told.pop(name, None)

    @property
    def starts_from(self) -> str:
        """``desired``, ``measured``, or ``unknown`` where nobody tells."""
        answers = set(self._told.values())
        return next((answer for answer in (MEASURED, DESIRED) if answer in answers), UNKNOWN)

    def complaint(self) -> str:
        """Return what is wrong with the controller, empty if nothing is known to be."""
        jump_rad = self._reference.largest_jump_rad
        seen = f"its reference jumped by {jump_rad:.3f} rad" if jump_rad > _JUMP_RAD else ""
        if self.starts_from == MEASURED:
            return f"{self._name} starts each new trajectory from the measured state: {ADVICE}"
        return f"{self._name} seems to start new trajectories from the measured state, {seen}: {ADVICE}" if seen else ""

    def report(self) -> Mapping[str, object]:
        """Return values for /diagnostics."""
        values: dict[str, object] = {"controller_starts_from": self.starts_from}
        if self._listens:
            values["controller_reference_jump_rad"] = self._reference.largest_jump_rad
        return values


def _answer_of(future: Future) -> str:
    answer = None if future.exception() is not None else future.result()
    if answer is None or len(answer.values) != 1 or answer.values[0].type != ParameterType.PARAMETER_BOOL:
        return UNKNOWN
    return DESIRED if answer.values[0].bool_value else MEASURED
