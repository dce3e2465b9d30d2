"""The driver's node: commands in, trajectories with a braking tail out, one setpoint for every command."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import numpy as np
from rclpy.clock import Clock as RosClock
from rclpy.clock import ClockType
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory

from arm_driver.attendance import Attendance
from arm_driver.backend import Backend
from arm_driver.backends import Reanchor, make_backend
from arm_driver.clocks import DriverClock, LockstepClock, RobotClock, SimulatedClock
from arm_driver.commands import CommandStatistics, LimitMonitor, validated_command
from arm_driver.peers import Peers
from arm_driver.settings import TABLE
from arm_driver.slow_moves import SlowMoves
from fetch_sim2real import graph
from fetch_sim2real.arm.limits import limit_profile
from fetch_sim2real.control.checks import FilterSettings, Refusal
from fetch_sim2real.control.filter import Decision, SafetyFilter
from fetch_sim2real.control.readings import BaseWatch, RobotReadings
from fetch_sim2real.control.states import State
from fetch_sim2real.errors import FetchSim2RealError, ObservationError
from fetch_sim2real.messages.motion import SentCounts, SetpointReport, encode_setpoint_report, is_refused
from fetch_sim2real.messages.poses import decode_base_pose
from fetch_sim2real.messages.stamps import decode_stamp, encode_stamp
from fetch_sim2real.messages.statuses import EnableAnswer, encode_status
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.ros.bounded_log import BoundedLog
from fetch_sim2real.ros.diagnostics import Diagnostics, Level, Report
from fetch_sim2real.ros.main_loop import StackNode
from fetch_sim2real.ros.parameters import USE_SIM_TIME
from fetch_sim2real.ros.topics import publish_to, serve_trigger, subscribe_to
from fetch_sim2real.timing import JOINT_STATE_PERIOD_NS
from fetch_sim2real.types import BasePose, FloatArray, JointSetpoint
from fetch_sim2real.workcell import load_workcell

_TICK_S: Final = 0.01
_ROUNDING_NS: Final = 1000
_LEVELS: Final = {State.HOLD: Level.WARN, State.STOPPED: Level.ERROR, State.FAULT: Level.ERROR}


class ArmDriver(StackNode):
    """Owns the safety filter and the way to the robot."""

    def __init__(self) -> None:
        super().__init__(graph.ARM_DRIVER, TABLE)
        parameters = self.parameters
        self._scene = load_workcell(parameters.text("world"), worlds_dir()).scene()
        self._profile = limit_profile(parameters.text("profile"))
        self._is_lockstep = parameters.flag("lockstep")
        self._clock_source = self._make_clock()
        mode = parameters.text("mode")
        # Its callbacks come no earlier than the executor runs.
        self._backend: Backend = make_backend(parameters.text("backend"), mode, self)
        settings = FilterSettings(
            speed_scale=parameters.number("speed_scale"),
            finger_effort_n=parameters.number("gripper_effort"),
            finger_reopen_s=parameters.number("gripper_reopen_time"),
            send_periods=self._backend.send_periods,
        )
        self._filter = SafetyFilter(self._profile, self._scene, settings)
        self._is_live = mode == "live"
        self._reanchor = None if self._is_live else Reanchor(self._filter)
        self._sent = SentCounts()
        self._readings = RobotReadings(
            self._scene.torso_height_m, simulated=self.is_simulated, lockstep=self._is_lockstep
        )
        self._base = BaseWatch(parameters.number("base_tolerance_m"), lockstep=self._is_lockstep)
        self._base_is_watched = parameters.flag("watch_base")
        self._tick_due_ns: int | None = None
        self._commanded: JointSetpoint | None = None
        self._activation: tuple[int, Decision] | None = None
        self._limit_monitor = LimitMonitor()
        self._statistics = CommandStatistics()
        self._log = BoundedLog(self.get_logger())

        self._setpoints = publish_to(self, graph.SETPOINT)
        self._ticks = publish_to(self, graph.DRIVER_TICK) if self._is_lockstep else None
        self._commands = subscribe_to(self, graph.JOINT_COMMAND, self._on_command)
        self._slow_moves = SlowMoves(self, lambda: self.is_active)
        if not self._backend.brings_joint_states:
            subscribe_to(self, graph.JOINT_STATES, self.on_joint_state)
            self._base_is_watched = self._base_is_watched and self._listen_to_odometry()
        if self.is_simulated and not self._backend.brings_joint_states:
            subscribe_to(self, graph.CLOCK, lambda message: self.on_clock(decode_stamp(message.clock)))
        serve_trigger(self, graph.DRIVER_ENABLE, self._enable)
        serve_trigger(self, graph.DRIVER_DISABLE, self._disable)
        serve_trigger(self, graph.DRIVER_STOP, self._stop)
        serve_trigger(self, graph.DRIVER_RESET, self._reset)
        self._peers = Peers(
            self,
            self._commands,
            self._setpoints,
            self._backend.outputs,
            is_live=self._is_live,
            owns_joint_states=self._backend.brings_joint_states,
        )
        self._attendance = Attendance(
            parameters.text("heartbeat"),
            is_live=self._is_live,
            is_simulated=self.is_simulated,
            is_lockstep=self._is_lockstep,
        )
        subscribe_to(self, graph.HEARTBEAT, self._on_heartbeat)
        parameters.on_change("speed_scale", self._speed_scale_refusal, self._filter.cap_speed)
        if not self._is_lockstep:
            self.create_timer(_TICK_S, self._tick, clock=RosClock(clock_type=ClockType.STEADY_TIME))
        self._diagnostics = Diagnostics(self, self._report)

    def _make_clock(self) -> DriverClock:
        if self._is_lockstep:
            return LockstepClock()
        return SimulatedClock() if self.get_parameter(USE_SIM_TIME).value else RobotClock()

    def _listen_to_odometry(self) -> bool:
        try:
            subscribe_to(self, graph.ODOMETRY, lambda message: self.on_base_pose(decode_base_pose(message)))
        except ModuleNotFoundError as error:
            self.get_logger().warning(f"the base is not watched: the package {error.name} is not installed")
            return False
        return True

    def close(self) -> None:
        """Brake, as far as the trajectory's own tail does not."""
        try:
            if self._filter.state is State.ACTIVE:
                self._carry_out(self._filter.disable(self._clock_source.now_ns(), "the driver ends"))
        finally:
            self._backend.close()

    # -- what the back end sees ----------------------------------------------------------------------------------

    @property
    def node(self) -> Node:
        """See Driver."""
        return self

    @property
    def tracking_error_rad(self) -> FloatArray:
        """See Driver."""
        return np.array(self._filter.settings.tracking_error_rad)

    @property
    def finger_effort_n(self) -> float:
        """See Driver."""
        return self._filter.settings.finger_effort_n

    @property
    def runs_in_lockstep(self) -> bool:
        """See Driver."""
        return self._is_lockstep

    @property
    def is_simulated(self) -> bool:
        """See Driver."""
        return not isinstance(self._clock_source, RobotClock)

    @property
    def is_active(self) -> bool:
        """See Driver."""
        return self._filter.state is State.ACTIVE

    def now_ns(self) -> int:
        """See Driver."""
        return self._clock_source.now_ns()

    # -- services ------------------------------------------------------------------------------------------------

    def _enable(self) -> tuple[bool, str]:
        # In lockstep no tick need have come since the driver was stopped: a move of that time must not go on.
        self._slow_moves.watch()
        now_ns = self._clock_source.now_ns()
        self._heed_clocks(now_ns)
        steady_ns = time.monotonic_ns()
        missing = self._objection(now_ns) or self._peers.refusal() or self._attendance.refusal(steady_ns)
        sample = self._readings.sample
        if missing or sample is None:
            return False, missing
        try:
            decision = self._filter.activate(now_ns, sample)
        except FetchSim2RealError as error:
            return False, str(error)
        self._base.anchor()
        self._peers.begin()
        self._attendance.begin(steady_ns)
        self._announce(now_ns, decision)
        if warning := self._backend.complaint():
            self._log.warn("enabled", f"enabled, although {warning}")
        return True, encode_status(EnableAnswer(state=self._filter.state.value, now_ns=now_ns, warning=warning))

    def _disable(self) -> tuple[bool, str]:
        self._go_on_no_more()
        return self._release(lambda: self._filter.disable(self._clock_source.now_ns(), "disabled by request"))

    def _stop(self) -> tuple[bool, str]:
        self._go_on_no_more()
        return self._attempt(lambda: self._filter.stop(self._clock_source.now_ns(), "stopped by request"))

    def _reset(self) -> tuple[bool, str]:
        return self._release(lambda: self._filter.reset("reset by request"))

    def _release(self, action: Callable[[], Decision | None]) -> tuple[bool, str]:
        """Neither the base nor a gripper need stay any more."""
        answer = self._attempt(action)
        if answer[0]:
            self._base.release()
            self._peers.release()
        return answer

    def _go_on_no_more(self) -> None:
        if self._reanchor is not None:
            self._reanchor.forget()

    def _attempt(self, action: Callable[[], Decision | None]) -> tuple[bool, str]:
        try:
            decision = action()
        except FetchSim2RealError as error:
            return False, str(error)
        if decision is not None:
            self._carry_out(decision)
        return True, self._filter.state.value

    def _speed_scale_refusal(self, share: float) -> str:
        now = self._filter.settings.speed_scale
        if self._filter.state is State.ACTIVE and share > now:
            return f"speed_scale is {now:g} and the arm is active, so it can only be lowered: disable the driver first"
        return ""

    # -- what comes in -------------------------------------------------------------------------------------------

    def on_joint_state(self, message: JointState) -> None:
        """See Driver."""
        try:
            sample = self._readings.take(message, self._clock_source.now_ns())
        except ObservationError as error:
            self._log.warn("joint_state", str(error))
            return
        if sample is not None:
            self._filter.on_joint_sample(sample)
            self._lockstep_tick()

    def on_base_pose(self, pose: BasePose) -> None:
        """See Driver."""
        self._base.on_pose(self._clock_source.now_ns(), pose)

    def on_clock(self, stamp_ns: int) -> None:
        """See Driver; also what the clock's topic says."""
        self._clock_source.on_clock(stamp_ns)
        self._heed_clocks(stamp_ns)
        if self._is_lockstep:
            self._tick_due_ns = stamp_ns
            self._lockstep_tick()

    def _lockstep_tick(self) -> None:
        """Run the watchdog once both the time and the newest joint state before it are here, and say so."""
        due_ns, sample = self._tick_due_ns, self._readings.sample
        if due_ns is None or sample is None or self._ticks is None:
            return
        is_newest = 0 <= due_ns - sample.stamp_ns < JOINT_STATE_PERIOD_NS - _ROUNDING_NS
        if not (is_newest or self._backend.brings_joint_states):
            return
        self._tick_due_ns = None
        self._tick()
        if self._activation is not None:
            # Until somebody commands: results must not depend on whether the commander heard it in time.
            self._publish_setpoint(*self._activation)
        self._ticks.publish(Clock(clock=encode_stamp(due_ns)))

    def _on_command(self, message: JointTrajectory) -> None:
        started_s = time.perf_counter()
        now_ns = self._clock_source.now_ns()
        self._watch(now_ns)
        validated = validated_command(message, self._commands.get_publisher_count(), self._profile)
        if isinstance(validated, Refusal):
            self._slow_moves.on_refusal(validated)
            decision = self._filter.refuse(now_ns, validated)
        else:
            command = self._slow_moves.in_place_of(validated, self._commanded)
            decision = self._filter.on_command(now_ns, command)
        self._activation = None
        self._carry_out(decision)
        stamp_ns = decode_stamp(message.header.stamp)
        self._publish_setpoint(stamp_ns, decision)
        self._limit_monitor.note(now_ns, decision)
        if complaint := self._limit_monitor.complaint():
            self._log.warn("held", complaint)
        answer_ms = (time.perf_counter() - started_s) * 1e3
        self._statistics.note(decision.outcome, (now_ns - stamp_ns) * 1e-6, answer_ms)
        if is_refused(decision.outcome):
            self._log.warn(decision.outcome, f"{decision.outcome}: {decision.detail}")
        self._go_on(now_ns)

    def _on_heartbeat(self, message: String) -> None:
        self._attendance.on_beat(message.data, time.monotonic_ns())

    def on_fault(self, reason: str) -> None:
        """See Driver."""
        self._filter.fault(reason)
        self._log.warn("fault", f"the robot reports: {reason}")

    def on_lost(self, reason: str, *, then_disabled: bool = False) -> None:
        """See Driver."""
        self._go_on_no_more()
        decision = self._filter.lose(self._clock_source.now_ns(), reason, then_disabled=then_disabled)
        if decision is not None:
            self._carry_out(decision)
        self._log.warn("lost", reason)  # after the braking: a process' first log line takes tens of milliseconds

    # -- what has to stay so -------------------------------------------------------------------------------------

    def _objection(self, now_ns: int) -> str:
        """What speaks against following commands: before the arm is enabled, and all the time while it is."""
        return self._backend.refusal() or self._readings.objection(now_ns) or self._base.objection(now_ns)

    def _watch(self, now_ns: int) -> None:
        """Brake if something that enabling asked for is not so any more."""
        self._heed_clocks(now_ns)
        if not self.is_active:
            return
        who = self._attendance.complaint(time.monotonic_ns()) or self._peers.complaint()
        if objection := self._objection(now_ns) or who:
            self.on_lost(objection)

    def _heed_clocks(self, now_ns: int) -> None:
        """Brake where a clock was set. The driver's own goes on as if it had not been until the arm is at rest."""
        complaint = self._clock_source.complaint() or self._readings.take_clock_step()
        if complaint:
            self.on_lost(complaint, then_disabled=True)
        if self._clock_source.is_stepped and not self.is_active and self._filter.is_at_rest(now_ns):
            self._clock_source.follow_step()
            self._filter.forget_motion()
            self._readings.forget()
            self._base.forget_times()
            self._backend.on_clock_step()

    # -- what goes out -------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        now_ns = self._clock_source.now_ns()
        self._backend.tick()
        self._watch(now_ns)
        decision = self._filter.tick(now_ns)
        if decision is not None:
            self._carry_out(decision)
            self._log.warn("brake", f"braking: {decision.detail}")
        self._slow_moves.watch()
        self._go_on(now_ns)

    def _go_on(self, now_ns: int) -> None:
        if self._reanchor is not None and (anew := self._reanchor.try_to(now_ns, self._readings.sample)) is not None:
            self._announce(now_ns, anew)

    def _announce(self, now_ns: int, activation: Decision) -> None:
        """Tell the commander where to start."""
        self._carry_out(activation)
        self._publish_setpoint(now_ns, activation)
        self._activation = (now_ns, activation)

    def _carry_out(self, decision: Decision) -> None:
        if decision.trajectory is not None:
            self._backend.send_arm(decision.trajectory)
            self._sent = self._sent._replace(arm=self._sent.arm + self._is_live)
        if decision.finger_position_m is not None:
            self._backend.send_gripper(decision.finger_position_m)
            self._sent = self._sent._replace(gripper=self._sent.gripper + self._is_live)
            if unheard := self._peers.need_gripper():
                self.on_lost(unheard)

    def _publish_setpoint(self, stamp_ns: int, decision: Decision) -> None:
        setpoint = decision.setpoint if decision.setpoint.position.size else None
        self._commanded = setpoint
        report = SetpointReport(stamp_ns, decision.outcome, setpoint)
        self._setpoints.publish(encode_setpoint_report(report, self._sent))

    def _report(self) -> Report:
        state = self._filter.state
        now_ns = self._clock_source.now_ns()
        sample = self._readings.sample
        age_ms = np.nan if sample is None else (now_ns - sample.stamp_ns) * 1e-6
        values: dict[str, object] = {
            "state": state.value,
            "reason": self._filter.state_reason,
            "objection": self._objection(now_ns),
            "mode": "live" if self._reanchor is None else f"shadow, put back onto the arm {self._reanchor.count} times",
            "profile": self._profile.name,
            "speed_scale": self._filter.settings.speed_scale,
            "commanders": self._commands.get_publisher_count(),
            "joint_state_age_ms": float(age_ms),
            **self._readings.report(),
            "base": self._base.words() if self._base_is_watched else "not watched",
            "heartbeat": self._attendance.words(time.monotonic_ns()),
            **self._peers.report(),
            **self._backend.report(),
            **self._statistics.take_report(),
            **self._limit_monitor.report(),
        }
        held = self._limit_monitor.complaint() if state is State.ACTIVE else ""
        warning = self._backend.complaint() or held
        level = _LEVELS.get(state, Level.WARN if warning else Level.OK)
        words = f"{state.value}: {warning or self._filter.state_reason}"
        return Report(level, words if self._reanchor is None else f"shadow, {words}", values)
