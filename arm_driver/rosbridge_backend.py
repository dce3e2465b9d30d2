"""A stock ROS 1 Fetch through rosbridge_server: action goals out, joint states and the robot's state in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic

from sensor_msgs.msg import JointState

from arm_driver.backend import Backend
from arm_driver.driver_interface import Driver
from arm_driver.rosbridge_bookkeeping import ClockOffset, GoalLedger, MalformedMessages
from arm_driver.rosbridge_link import SILENCE_S, RosbridgeLink
from fetch_sim2real import graph
from fetch_sim2real.control.checks import CONTROLLER_TOLERANCE_FACTOR
from fetch_sim2real.control.trajectory import held_until
from fetch_sim2real.errors import MessageError
from fetch_sim2real.messages.stamps import STAMPS_END_NS, encode_stamp
from fetch_sim2real.ros.bounded_log import BoundedLog
from fetch_sim2real.ros.topics import publish_to
from fetch_sim2real.rosbridge import topics as ros1
from fetch_sim2real.rosbridge.messages import (
    ActionResult,
    Clock,
    GoalStatusArray,
    JointStates,
    Kind,
    Odometry,
    RobotState,
    TimeAnswer,
    read,
)
from fetch_sim2real.types import JointTrajectory

_SETTLE_S: Final = 1.0
_ASK_TIME_S: Final = 0.5
# A clock known worse than this is no use for pairing joints with pictures (a control period is 33 ms).
_MAX_UNCERTAINTY_NS: Final = 25_000_000
# What a Fetch says all the time, whatever it does, and how long [s] it may be missing. /robot_state comes about ten
# times a second, and an action server's status five times by actionlib's default: a few in a row may be lost.
_TIMEOUTS_S: Final[Mapping[str, float]] = {ros1.ROBOT_STATE.name: 0.5, ros1.ARM_STATUS.name: 1.0}
_SUBSCRIBED: Final = (
    ros1.JOINT_STATES, ros1.ROBOT_STATE, ros1.ARM_RESULT, ros1.ARM_STATUS, ros1.GRIPPER_RESULT, ros1.CLOCK,
)  # fmt: skip
_ADVERTISED: Final = (ros1.ARM_GOAL, ros1.GRIPPER_GOAL)
# A source of what cannot be read, beside topics and services.
_CONNECTION: Final = "connection"


@dataclass(frozen=True)
class _Incoming(Generic[Kind]):
    """What a topic brings, and who takes it.

    The robot says ``again`` by itself what it said: what could not be read stands until something could. With ``vital``
    an arm must not go on moving while what it says is not known.
    """

    kind: type[Kind]
    take: Callable[[Kind], None]
    again: bool
    vital: bool

    def receive(self, message: Any, topic: str) -> None:
        """Read ``message`` and hand it on; MessageError if it cannot be read."""
        self.take(read(self.kind, message, topic))


class RosbridgeBackend(Backend):
    """Goals for a Fetch's controllers. Its joint states are published on the ROS 2 side, in this machine's time."""

    send_periods = 2  # 15 goals a second: the controller looks for a new one 50 times a second
    brings_joint_states = True

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._joint_states = publish_to(driver.node, graph.JOINT_STATES)
        self._arm, self._gripper = GoalLedger("arm_controller"), GoalLedger("gripper_controller")
        self._offset = ClockOffset()
        self._asked_ns = 0
        self._state: RobotState | None = None
        self._heard_ns: dict[str, int] = {}
        self._link_state = "no connection yet"
        self._connections = self._unsent = self._gripper_aborts = 0
        self._malformed = MalformedMessages()
        self._log = BoundedLog(driver.node.get_logger())
        self._incoming: dict[str, _Incoming[Any]] = {
            ros1.JOINT_STATES.name: _Incoming(JointStates, self._on_joint_states, again=True, vital=False),
            ros1.ROBOT_STATE.name: _Incoming(RobotState, self._on_robot_state, again=True, vital=True),
            ros1.ARM_STATUS.name: _Incoming(GoalStatusArray, self._on_arm_status, again=True, vital=False),
            ros1.ARM_RESULT.name: _Incoming(ActionResult, self._on_arm_result, again=False, vital=True),
            ros1.GRIPPER_RESULT.name: _Incoming(ActionResult, self._on_gripper_result, again=False, vital=False),
            ros1.ODOMETRY.name: _Incoming(Odometry, self._on_odometry, again=True, vital=False),
            ros1.CLOCK.name: _Incoming(Clock, self._on_clock, again=True, vital=False),
        }
        host, port = driver.parameters.text("rosbridge_host"), driver.parameters.whole("rosbridge_port")
        self._address = f"{host}:{port}"
        subscribed = (*_SUBSCRIBED, *((ros1.ODOMETRY,) if driver.parameters.flag("watch_base") else ()))
        self._link = RosbridgeLink(host, port, (subscribed, _ADVERTISED), driver.post, self)

    # -- out -----------------------------------------------------------------------------------------------------

    def send_arm(self, trajectory: JointTrajectory) -> None:
        """See Backend."""
        now_ns = self._driver.now_ns()
        goal_id = self._arm.new_id(now_ns)
        if not self._link.is_open:
            self._unsent += 1
            self._arm.forget_unheard()
            return
        tolerance = (CONTROLLER_TOLERANCE_FACTOR * self._driver.tracking_error_rad).tolist()
        goal = ros1.arm_goal_json(held_until(trajectory, ros1.GOAL_HORIZON_S), goal_id, tolerance, _SETTLE_S, now_ns)
        self._link.publish(ros1.ARM_GOAL, goal)

    def send_gripper(self, opening_m: float) -> None:
        """See Backend."""
        now_ns = self._driver.now_ns()
        goal = ros1.gripper_goal_json(
            2.0 * opening_m, self._driver.finger_effort_n, self._gripper.new_id(now_ns), now_ns
        )
        self._link.publish(ros1.GRIPPER_GOAL, goal)

    # -- state ---------------------------------------------------------------------------------------------------

    def refusal(self) -> str:
        """See Backend."""
        if not self._link.is_open:
            return f"rosbridge at {self._address}: {self._link_state}; is rosbridge_server running there?"
        if unreadable := self._unreadable():
            return unreadable
        if self._state is None:
            return f"no {ros1.ROBOT_STATE.name} has come through rosbridge: without it a run-stop would not be noticed"
        fault = _fault_of(self._state)
        if fault:
            return fault
        if silence := self._silence():
            return silence
        if self._measures_clock and not self._offset.is_known:
            return f"the robot's clock is unknown: {ros1.GET_TIME} has not answered ({self._link.complaint or 'yet'})"
        if self._offset.uncertainty_ns > _MAX_UNCERTAINTY_NS:
            return (
                f"the robot's clock is known to {self._offset.uncertainty_ns * 1e-6:.0f} ms, expected at most "
                f"{_MAX_UNCERTAINTY_NS * 1e-6:.0f} ms: the network is too slow"
            )
        if ros1.ARM_STATUS.name not in self._heard_ns:
            return f"no {ros1.ARM_STATUS.name} has come through rosbridge: are the arm's controllers running?"
        return ""

    def on_clock_step(self) -> None:
        """See Backend."""
        self._offset.forget()
        self._arm.forget_unheard()
        self._state = None
        self._heard_ns.clear()
        self._asked_ns = 0

    def complaint(self) -> str:
        """See Backend."""
        if unreadable := self._unreadable():
            return unreadable
        return f"rosbridge says: {self._link.complaint}" if self._link.complaint else ""

    def _unreadable(self) -> str:
        complaint = self._malformed.complaint()
        return f"unreadable: {complaint}" if complaint else ""

    def tick(self) -> None:
        """See Backend."""
        if self._driver.is_active:
            fault = self._arm.fault_of_silence(self._driver.now_ns())
            if fault:
                self._driver.on_fault(fault)
        else:
            self._arm.forget_unheard()
        if self._driver.runs_in_lockstep or not self._link.is_open:
            return
        if self._link.silent_s > SILENCE_S:
            self._link.abandon(f"half_open: nothing has come for {SILENCE_S} s although the connection is open")
        elif self._measures_clock and self._driver.now_ns() - self._asked_ns > _ASK_TIME_S * 1e9:
            self._ask_time()

    def report(self) -> Mapping[str, object]:
        """See Backend."""
        return {
            "rosbridge": self._address,
            "link": self._link_state,
            "connections": self._connections,
            "robot": self.refusal() or "ready",
            "clock_offset_ms": self._offset.offset_ns * 1e-6,
            "clock_uncertainty_ms": self._offset.uncertainty_ns * 1e-6,
            "goals_superseded": self._arm.superseded,
            "goals_unsent": self._unsent,
            "gripper_aborts": self._gripper_aborts,
            "rosbridge_complaint": self._link.complaint,
            **self._malformed.report(),
        }

    def close(self) -> None:
        """See Backend."""
        self._link.close()

    @property
    def _measures_clock(self) -> bool:
        return not self._driver.is_simulated

    # -- in ------------------------------------------------------------------------------------------------------

    def on_connection(self, is_open: bool, reason: str) -> None:
        """See LinkListener."""
        self._link_state = reason
        # Nothing that was true before need be true now.
        self._state = None
        self._heard_ns.clear()
        self._offset.forget()
        self._arm.forget_unheard()
        self._malformed.forget()
        if is_open:
            self._connections += 1
            if self._measures_clock:
                self._ask_time()
        else:
            self._driver.on_lost(f"connection_lost: rosbridge at {self._address}: {reason}")

    def _silence(self) -> str:
        """What has ceased of that which a Fetch says all the time, empty if nothing has."""
        if self._driver.runs_in_lockstep:
            return ""
        now_ns = self._driver.now_ns()
        for topic, heard_ns in self._heard_ns.items():
            silent_s, allowed_s = (now_ns - heard_ns) * 1e-9, _TIMEOUTS_S[topic]
            if silent_s > allowed_s:
                return f"{topic} has ceased: nothing for {silent_s:.3f} s, allowed {allowed_s} s"
        return ""

    def on_message(self, topic: str, message: Any) -> None:
        """See LinkListener."""
        incoming = self._incoming.get(topic)
        if incoming is None:
            return
        try:
            incoming.receive(message, topic)
        except MessageError as error:
            self._note_malformed(topic, error)
            if not incoming.again:
                self._malformed.settle(topic)
            if incoming.vital:
                self._distrust(error)
        else:
            self._malformed.settle(topic)
            if topic in _TIMEOUTS_S:
                self._heard_ns[topic] = self._driver.now_ns()

    def on_unreadable(self, error: MessageError) -> None:
        """See LinkListener."""
        self._note_malformed(_CONNECTION, error)
        self._distrust(error)  # it may have said that the run-stop is pressed

    def on_complaint(self, text: str) -> None:
        """See LinkListener."""
        self._log.warn("rosbridge", f"rosbridge says: {text}")

    def _note_malformed(self, source: str, error: MessageError) -> None:
        self._malformed.note(source, str(error))
        self._log.warn(f"malformed {source}", f"ignored: {error}")

    def _distrust(self, error: MessageError) -> None:
        """What the robot's state was is not known any more."""
        self._state = None
        if self._driver.is_active:
            self._driver.on_lost(f"unreadable: {error}")

    def _on_robot_state(self, message: RobotState) -> None:
        self._state = message
        self._malformed.settle(_CONNECTION)
        fault = _fault_of(message)
        if fault:
            self._driver.on_fault(fault)

    def _on_arm_status(self, message: GoalStatusArray) -> None:
        self._arm.on_status(message)

    def _on_arm_result(self, message: ActionResult) -> None:
        fault = self._arm.fault_of_result(message)
        if fault:
            self._driver.on_fault(fault)

    def _on_gripper_result(self, message: ActionResult) -> None:
        # Fingers that stall have grasped something: the controller calls that a success, and no more is at stake.
        self._gripper_aborts += bool(self._gripper.fault_of_result(message))

    def _on_odometry(self, message: Odometry) -> None:
        self._driver.on_base_pose(message.base_pose)

    def _on_clock(self, message: Clock) -> None:
        if self._driver.is_simulated:
            self._driver.on_clock(message.clock.ns)

    def _on_joint_states(self, message: JointStates) -> None:
        robot_ns = message.header.stamp.ns
        stamp_ns = robot_ns - self._offset.offset_ns
        if not 0 <= stamp_ns < STAMPS_END_NS:
            raise MessageError(
                f"{ros1.JOINT_STATES.name}: field 'header.stamp' is {robot_ns * 1e-9:.3f} s, by this machine's clock "
                f"{stamp_ns * 1e-9:.3f} s, expected 0 to 2^31 s after 1970: set the robot's clock (chrony)"
            )
        joint_state = JointState(
            name=message.name, position=message.position, velocity=message.velocity, effort=message.effort
        )
        joint_state.header.stamp = encode_stamp(stamp_ns)
        self._joint_states.publish(joint_state)
        if self._measures_clock and not self._offset.is_known:
            return  # its age cannot be judged
        self._driver.on_joint_state(joint_state)

    def _ask_time(self) -> None:
        sent_ns = self._asked_ns = self._driver.now_ns()

        def answered(values: Any) -> None:
            try:
                robot_ns = read(TimeAnswer, values, ros1.GET_TIME).time.ns
            except MessageError as error:
                self._note_malformed(ros1.GET_TIME, error)
            else:
                self._malformed.settle(ros1.GET_TIME)
                step_ns = self._offset.add(sent_ns, robot_ns, self._driver.now_ns())
                if step_ns:
                    self._driver.on_lost(f"the robot's clock was set by {step_ns * 1e-9:.3f} s", then_disabled=True)

        self._link.call(ros1.GET_TIME, answered)


def _fault_of(state: RobotState) -> str:
    """What the robot's state says against moving, empty if nothing."""
    if state.runstopped:
        return "runstop: the run-stop is pressed"
    if state.faulted:
        return "robot_fault: /robot_state says that the robot is faulted"
    return ""
