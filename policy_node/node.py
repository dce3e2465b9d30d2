"""The policy's node: a frame comes in, exactly one answer goes out: a command, or a hold that says why."""

from __future__ import annotations

import time
from collections import Counter, deque
from statistics import median
from typing import Any, Final, cast

import torch
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from fetch_sim2real import graph
from fetch_sim2real.calibration.in_force import CameraPose
from fetch_sim2real.common.stamp_sequence import StampVerdict
from fetch_sim2real.control.action import box_text, common_box, target_box_of
from fetch_sim2real.errors import CommandError, ObservationError, SetupError
from fetch_sim2real.messages.camera_info import decode_camera_info
from fetch_sim2real.messages.images import decode_color, decode_depth
from fetch_sim2real.messages.joint_states import JointStateMerger
from fetch_sim2real.messages.motion import decode_setpoint_report, encode_command
from fetch_sim2real.messages.poses import decode_goal
from fetch_sim2real.messages.stamps import decode_stamp
from fetch_sim2real.paths import find_policy, worlds_dir
from fetch_sim2real.perception.observe import MAX_JOINT_SKEW_NS, joint_skew_words
from fetch_sim2real.policy.actor_runtime import TORCH, ActorRuntime
from fetch_sim2real.policy.bundle import PolicyBundle, load_bundle
from fetch_sim2real.policy.goals import GoalVerdict, judge_goal
from fetch_sim2real.policy.look_rate import EVERY_FRAME, LookRate
from fetch_sim2real.policy.runtime import CommandRuntime, Policy, Sensed, SetpointTracker, policy_of
from fetch_sim2real.policy.synchronization import (
    MAX_DEPTH_OFFSET_NS,
    SYNC_ADVICE,
    FrameMessages,
    FramePairer,
    JointHistory,
    depth_offset_words,
)
from fetch_sim2real.ros.diagnostics import Diagnostics, Level, Report
from fetch_sim2real.ros.latency import Latencies, Rate
from fetch_sim2real.ros.main_loop import StackNode
from fetch_sim2real.ros.parameters import USE_SIM_TIME
from fetch_sim2real.ros.topics import publish_to, serve_trigger, subscribe_to
from fetch_sim2real.stack.graph_check import wrong_rate_words
from fetch_sim2real.timing import CONTROL_PERIOD_NS
from fetch_sim2real.types import JointCommand, RgbdFrame
from fetch_sim2real.workcell import TORSO_TOLERANCE_M, load_workcell
from policy_node.settings import TABLE

_MISSED_GAP_NS: Final = 1.5 * CONTROL_PERIOD_NS
_REMIND_S: Final = 30.0
_JUDGED_STEPS: Final = 30


class PolicyNode(StackNode):
    """Runs one bundle."""

    def __init__(self) -> None:
        super().__init__(graph.POLICY_NODE, TABLE)
        # One frame at a time on a small network: more threads only wait for each other.
        torch.set_num_threads(1)
        bundle = load_bundle(find_policy(self.parameters.text("policy")))
        self._manifest, self._bundle_sha256 = bundle.manifest, bundle.sha256
        self._camera = CameraPose(self._manifest.camera, self.parameters.text("calibration"))
        target_box_m, self._world_box = self._manifest.action.target_box_m, ""
        if world := self.parameters.text("world"):
            world_box_m = target_box_of(load_workcell(world, worlds_dir()))
            target_box_m, self._world_box = common_box(target_box_m, world_box_m), box_text(world_box_m)
        policy = _policy_of(
            bundle,
            cast(LookRate, self.parameters.text("look")),
            cast(ActorRuntime, self.parameters.text("runtime")),
        )
        self._actor = CommandRuntime(self._manifest, policy, target_box_m)
        # What the bundle's observations do not hold need not come.
        self._joints = JointStateMerger(needs_fingers=self._manifest.observation.proprioception, needs_velocity=False)
        self._history = JointHistory()
        self._pairer = FramePairer()
        self._setpoints = SetpointTracker()
        self._goal: GoalVerdict | None = None
        self._is_started = not self.parameters.flag("await_start")
        self._pending: tuple[FrameMessages, float] | None = None
        self._last_frame_ns: int | None = None
        # A simulation that is reset jumps ahead: its stamps have nothing to do with when they come.
        self._is_simulated = bool(self.get_parameter(USE_SIM_TIME).value)
        self._steps_ns: deque[int] = deque(maxlen=_JUDGED_STEPS)
        self._missed = 0
        self._answers: Counter[str] = Counter()
        self._complaint = ""
        self._bad_joint_states = 0
        self._inference, self._answer_time, self._age = Latencies(), Latencies(), Latencies()
        self._joint_skew = Latencies()
        self._rate = Rate()

        self._commands = publish_to(self, graph.JOINT_COMMAND)
        self._goal_status = publish_to(self, graph.GOAL_STATUS)
        subscribe_to(self, graph.JOINT_STATES, self._on_joint_state)
        subscribe_to(self, graph.SETPOINT, self._on_setpoint)
        subscribe_to(self, graph.GOAL, self._on_goal)
        self._pictures = (
            subscribe_to(self, graph.COLOR, lambda message: self._on_part("color", message)),
            subscribe_to(self, graph.COLOR_INFO, lambda message: self._on_part("info", message)),
            subscribe_to(self, graph.DEPTH, lambda message: self._on_part("depth", message)),
        )
        serve_trigger(self, graph.POLICY_RESET, self._reset)
        serve_trigger(self, graph.POLICY_START, self._start)
        serve_trigger(self, graph.POLICY_HOLD, self._stay)
        self._diagnostics = Diagnostics(self, self._report)
        if self._camera.warning:
            self.get_logger().warning(self._camera.warning)
        self.get_logger().info(
            f"policy {self._manifest.task}, bundle {bundle.sha256[:12]}, {self._camera.words()}: ready, no goal"
        )

    def work(self) -> float:
        """Raise if the camera turned out not to be the calibrated one, which ends the node.

        An error in a callback would not.
        """
        self._camera.require_right()
        return super().work()

    # -- what comes in -------------------------------------------------------------------------------------------

    def _on_part(self, part: str, message: Any) -> None:
        if part == "info":
            self._camera.on_info(message)
        stamps = self._pairer.stamps
        strays = stamps.strays
        frame = self._pairer.add(part, decode_stamp(message.header.stamp), message, self._arrived_ns())
        if stamps.strays > strays:
            self.get_logger().warning(
                f"a frame is dropped: {_jump_words('the camera', stamps.odd_ns)}", throttle_duration_sec=1.0
            )
        if frame is None:
            if trouble := self._pairer.trouble():
                self._complain(trouble)
            return
        received_s = time.perf_counter()
        self._complaint = ""
        if frame.is_of_new_clock:
            self._begin_anew(stamps.odd_ns)
        if frame.depth_offset_ns:
            self.get_logger().warning(
                f"{depth_offset_words(frame.depth_offset_ns)}: taken all the same, as training varies it by up to "
                f"{MAX_DEPTH_OFFSET_NS * 1e-6:g} ms. For one moment, {SYNC_ADVICE}",
                throttle_duration_sec=_REMIND_S,
            )
        self._note_gap(frame.stamp_ns)
        if self._pending is not None:
            waited_for = self._waited_for()
            skew_ns = self._history.newest_ns - self._pending[0].stamp_ns
            if waited_for == "joint_state" and self._history.newest_ns >= 0 and abs(skew_ns) > MAX_JOINT_SKEW_NS:
                self._complain(joint_skew_words(skew_ns))
            elif waited_for == "joint_state" and (missing := self._joints.missing()):
                self._complain(missing)
            self._answer_pending(self._hold(self._pending[0].stamp_ns), f"hold:no_{waited_for}")
        self._pending = (frame, received_s)
        self._try_to_answer()

    def _on_joint_state(self, message: JointState) -> None:
        try:
            sample = self._joints.merge(message)
        except ObservationError as error:
            self._bad_joint_states += 1
            self.get_logger().warning(f"ignored: {error}", throttle_duration_sec=1.0)
            return
        if sample is None:
            return
        verdict = self._history.add(sample, self._arrived_ns())
        jump = _jump_words("the robot", self._history.stamps.odd_ns)
        if verdict is StampVerdict.STRAY:
            self.get_logger().warning(f"a joint state is dropped: {jump}", throttle_duration_sec=1.0)
        elif verdict is StampVerdict.NEW_CLOCK:
            self.get_logger().warning(
                f"{jump}, and the next ones confirm it: its clock was set. Earlier joint states are forgotten"
            )
        self._try_to_answer()

    def _on_setpoint(self, message: JointState) -> None:
        try:
            report = decode_setpoint_report(message)
        except ObservationError as error:
            self.get_logger().warning(f"ignored: {error}", throttle_duration_sec=1.0)
            return
        if self._setpoints.on_report(report):
            self._actor.reset()
        self._try_to_answer()

    def _on_goal(self, message: PoseStamped) -> None:
        goal = decode_goal(message)
        verdict = judge_goal(goal, self._manifest.goal, self._camera.base_T_camera)
        if verdict.position_m is None:
            # What was accepted before stays in force.
            self.get_logger().warning(f"goal refused: {verdict.reason}")
        else:
            self._goal = verdict
            self.get_logger().info(f"goal accepted: {goal.position_m.tolist()} m in {goal.frame_id}")
        self._goal_status.publish(String(data=verdict.text()))

    def _start(self) -> tuple[bool, str]:
        if self._goal is None:
            return False, f"there is no goal: state one on {graph.GOAL.name} first"
        if not self._is_started:
            self._actor.reset()
        self._is_started = True
        return True, "acting on the goal"

    def _stay(self) -> tuple[bool, str]:
        self._is_started = False
        return True, "holding until started"

    def _reset(self) -> tuple[bool, str]:
        # Joint states are kept: they belong to the robot, and the first frame's may be among them.
        self._goal = None
        self._is_started = not self.parameters.flag("await_start")
        self._pending = None
        self._last_frame_ns = None
        self._pairer.forget()
        self._setpoints = SetpointTracker()
        self._actor.reset()
        return True, "goal, memory and setpoint forgotten"

    # -- what goes out -------------------------------------------------------------------------------------------

    def _try_to_answer(self) -> None:
        """Answer the waiting frame if everything that its answer needs is here."""
        # What is published before the driver is connected is lost.
        if self._pending is None or self._commands.get_subscription_count() == 0 or not self._camera.is_usable:
            return
        frame = self._pending[0]
        goal = self._goal
        if goal is None or goal.position_m is None or not self._is_started:
            self._answer_pending(self._hold(frame.stamp_ns), "hold:not_started" if goal else "hold:no_goal")
            return
        joints = self._history.at(frame.stamp_ns)
        if joints is None or self._setpoints.is_awaited:
            return
        setpoint = self._setpoints.setpoint
        if setpoint is None:
            self._answer_pending(self._hold(frame.stamp_ns), "hold:driver_not_active")
            return
        if rivals := self._several_cameras():
            self._complain(rivals)
            self._answer_pending(self._hold(frame.stamp_ns), "hold:two_cameras")
            return
        torso_m = self._joints.torso_height_m
        if torso_m is not None and not abs(torso_m - self._manifest.torso_height_m) <= TORSO_TOLERANCE_M:
            self._complain(f"the torso is at {torso_m:.3f} m, the policy needs {self._manifest.torso_height_m:.3f} m")
            self._answer_pending(self._hold(frame.stamp_ns), "hold:torso_height")
            return
        skew_ns = joints.stamp_ns - frame.stamp_ns
        self._joint_skew.add(abs(skew_ns) * 1e-6)
        if self._manifest.observation.proprioception and abs(skew_ns) > MAX_JOINT_SKEW_NS:
            self._complain(joint_skew_words(skew_ns))
            self._answer_pending(self._hold(frame.stamp_ns), "hold:joint_skew")
            return
        started_s = time.perf_counter()
        try:
            pair = RgbdFrame(frame.stamp_ns, decode_color(frame.color), decode_depth(frame.depth))
            sensed = Sensed(pair, decode_camera_info(frame.info), joints, goal.position_m, setpoint)
            command = self._actor.command(sensed)
        except (ObservationError, CommandError) as error:
            self._complain(str(error))
            self._answer_pending(self._hold(frame.stamp_ns), "hold:bad_observation")
            return
        self._inference.add((time.perf_counter() - started_s) * 1e3)
        self._answer_pending(command, "command")

    def _several_cameras(self) -> str:
        """Who publishes one of the camera's topics together with somebody else; empty where nobody does."""
        for pictures in self._pictures:
            if pictures.get_publisher_count() > 1:
                names = sorted(end.node_name for end in self.get_publishers_info_by_topic(pictures.topic_name))
                return f"{' and '.join(names)} publish {pictures.topic_name}, expected one camera: end the others"
        return ""

    def _hold(self, stamp_ns: int) -> JointCommand:
        self._actor.skip()
        return JointCommand(stamp_ns=stamp_ns, hold=True)

    def _answer_pending(self, command: JointCommand, kind: str) -> None:
        assert self._pending is not None
        # The profile lets a driver with slower limits than those of the training refuse.
        self._commands.publish(encode_command(command, self._manifest.limit_profile))
        self._setpoints.sent(command.stamp_ns)
        self._answer_time.add((time.perf_counter() - self._pending[1]) * 1e3)
        self._age.add((self.get_clock().now().nanoseconds - command.stamp_ns) * 1e-6)
        self._answers[kind] += 1
        self._rate.event()
        self._pending = None

    def _waited_for(self) -> str:
        if self._commands.get_subscription_count() == 0:
            return "driver"
        return "setpoint" if self._setpoints.is_awaited else "joint_state"

    def _arrived_ns(self) -> int | None:
        return None if self._is_simulated else time.monotonic_ns()

    def _begin_anew(self, jump_ns: int) -> None:
        """Forget what cannot be compared with frames of a clock that was set."""
        self.get_logger().warning(
            f"{_jump_words('the camera', jump_ns)}, and the next ones confirm it: its clock was set. Earlier frames "
            "and actions are forgotten"
        )
        self._last_frame_ns = None
        self._actor.reset()

    def _note_gap(self, stamp_ns: int) -> None:
        last, self._last_frame_ns = self._last_frame_ns, stamp_ns
        if last is None:
            self._steps_ns.clear()
            return
        if stamp_ns - last > _MISSED_GAP_NS:
            self._missed += round((stamp_ns - last) / CONTROL_PERIOD_NS) - 1
        self._steps_ns.append(stamp_ns - last)
        if len(self._steps_ns) == self._steps_ns.maxlen and (words := wrong_rate_words(graph.COLOR, self._frames_hz())):
            self.get_logger().warning(
                f"the camera's {words}: actions are for that rate, choose a profile of it",
                throttle_duration_sec=_REMIND_S,
            )

    def _frames_hz(self) -> float:
        """Rate of the frames by the median step between their stamps."""
        return 1e9 / median(self._steps_ns) if self._steps_ns else 0.0

    def _complain(self, text: str) -> None:
        self._complaint = text
        self.get_logger().warning(text, throttle_duration_sec=1.0)

    def _report(self) -> Report:
        rate_hz = self._rate.take_hz()
        values: dict[str, object] = {
            "task": self._manifest.task,
            "bundle_sha256": self._bundle_sha256,
            "runtime": self.parameters.text("runtime"),
            "started": self._is_started,
            "calibration": self._camera.text(),
            "world_box_m": self._world_box,
            "goal": "none" if self._goal is None else self._goal.text(),
            "driver_decision": self._setpoints.outcome,
            "answer_rate_hz": rate_hz,
            "frame_rate_hz": self._frames_hz(),
            **self._inference.summary("inference"),
            **self._answer_time.summary("frame_to_answer"),
            **self._age.summary("observation_age"),
            "waiting_for": "nothing" if self._pending is None else self._waited_for(),
            "newest_joint_state_ns": self._history.newest_ns,
            "joint_states": self._joints.missing() or "complete",
            "listeners": self._commands.get_subscription_count(),
            "missed_cycles": self._missed,
            "unpaired_frames": self._pairer.unpaired,
            "repeated_frames": self._pairer.repeated,
            "stray_frames": self._pairer.stamps.strays,
            "camera_clock_sets": self._pairer.stamps.new_clocks,
            "depth_offset_ms": self._pairer.depth_offset_ms,
            "stray_joint_states": self._history.stamps.strays,
            "robot_clock_sets": self._history.stamps.new_clocks,
            **self._joint_skew.summary("joint_skew"),
            "bad_joint_states": self._bad_joint_states,
            **{f"answers_{kind.replace(':', '_')}": count for kind, count in sorted(self._answers.items())},
        }
        if rate_hz == 0.0:
            return Report(Level.WARN, self._pairer.trouble() or "no frames", values)
        if self._complaint:
            return Report(Level.WARN, self._complaint, values)
        return Report(Level.OK, "no goal" if self._goal is None else "running", values)


def _policy_of(bundle: PolicyBundle, look: LookRate, runtime: ActorRuntime) -> Policy:
    """The bundle's actor, or an open-loop baseline of it where that is asked for."""
    if look == EVERY_FRAME:
        return policy_of(bundle, runtime)
    if runtime != TORCH:
        raise SetupError(
            f"parameter 'runtime' is '{runtime}' with 'look' '{look}', expected '{TORCH}': a baseline acts on what the "
            "encoder did not see, and an exported actor is in one piece. Leave one of the two out"
        )
    from fetch_sim2real.evaluation.open_loop import policy_at

    return policy_at(bundle, look)


def _jump_words(whose: str, jump_ns: int) -> str:
    return f"{whose} stamps it {abs(jump_ns) * 1e-9:.3f} s {'after' if jump_ns > 0 else 'before'} the last one"
