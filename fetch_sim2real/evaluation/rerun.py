"""Gives a bag's frames to an actor once more, and compares its commands with those that were recorded.

The state that the policy node had at each frame follows from the bag: the frame is whole when its three messages are
there; its joints are the nearest sample; the setpoint is the driver's last answer before its answer to this frame; the
actor forgets when the driver is activated and when the policy goes on holding. Nothing depends on the order in which
messages of different topics reached the recorder, but for the goal: the one in force is the last that was received
before the command.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass

import numpy as np

from fetch_sim2real.bags.frames import whole_frames
from fetch_sim2real.bags.reading import RecordedBag, decoded
from fetch_sim2real.bags.run import Answer, RecordedRun, Reply
from fetch_sim2real.calibration.in_force import CalibrationInForce
from fetch_sim2real.control.action import box_told, common_box
from fetch_sim2real.errors import CommandError, FetchSim2RealError, ObservationError
from fetch_sim2real.evaluation.open_loop import policy_at
from fetch_sim2real.graph import POLICY_NODE
from fetch_sim2real.messages.camera_info import decode_camera_info
from fetch_sim2real.messages.images import decode_color, decode_depth
from fetch_sim2real.messages.motion import HOLD
from fetch_sim2real.policy.bundle import PolicyBundle
from fetch_sim2real.policy.goals import judge_goal
from fetch_sim2real.policy.look_rate import EVERY_FRAME, LookRate
from fetch_sim2real.policy.runtime import CommandRuntime, Sensed, SetpointTracker
from fetch_sim2real.policy.synchronization import FrameMessages, JointHistory
from fetch_sim2real.types import FloatArray, JointCommand, JointSample, JointSetpoint, RgbdFrame


@dataclass(frozen=True)
class Compared:
    """A frame with both commands. ``setpoint`` is where they start; ``inference_s`` is this machine's.

    ``is_known``: the actor remembers now what it remembered then. False after a frame that the bag has lost, until it
    forgets, for an actor that remembers anything: its commands cannot be expected to agree.
    """

    stamp_ns: int
    frame_received_ns: int
    answer: Answer
    now: JointCommand
    setpoint: JointSetpoint
    inference_s: float
    is_known: bool

    @property
    def difference(self) -> float:
        """The largest difference of any number of the two commands: positions [rad, m], velocities [rad/s]."""
        return float(np.max(np.abs(_numbers(self.answer.command) - _numbers(self.now))))


@dataclass(frozen=True)
class Rerun:
    """``frames`` were compared; ``left_out`` counts, by reason, what could not be.

    ``wall_s`` and ``cpu_s``: how long it took, and of that on a processor.
    """

    frames: tuple[Compared, ...]
    left_out: Counter[str]
    wall_s: float
    cpu_s: float

    @property
    def largest_difference(self) -> float:
        """Among the frames at which the actor's memory is known."""
        return max((frame.difference for frame in self.frames if frame.is_known), default=0.0)

    def differing(self, tolerance: float) -> int:
        """Return how many commands differ by more than ``tolerance`` [rad, m, rad/s], the actor's memory being
        known.
        """
        return sum(frame.is_known and frame.difference > tolerance for frame in self.frames)


def _numbers(command: JointCommand) -> FloatArray:
    velocity = command.velocity if command.velocity is not None else np.zeros_like(command.position)
    finger = np.nan if command.finger_position_m is None else command.finger_position_m
    # A gripper that only one of them moves is as different as can be.
    return np.nan_to_num(np.concatenate([command.position, velocity, [finger]]), nan=1e9)


def rerun(bag: RecordedBag, run: RecordedRun, bundle: PolicyBundle, look: LookRate = EVERY_FRAME) -> Rerun:
    """Re-run ``run``, which was read from ``bag``. Raises ``SetupError`` if the bag cannot be read."""
    started_s, cpu_started_s = time.perf_counter(), time.process_time()
    state = _State(run, bundle, look)
    answers = _all_answers(run)
    unanswered, index = 0, 0
    for frame, received_ns in whole_frames(bag, state.left_out):
        while index < len(answers) and answers[index].stamp_ns < frame.stamp_ns:
            state.answer_without_frame(answers[index])
            index += 1
        if index < len(answers) and answers[index].stamp_ns == frame.stamp_ns:
            state.answer(answers[index], frame, received_ns)
            index += 1
        else:
            unanswered += 1
    for answer in answers[index:]:
        state.answer_without_frame(answer)
    state.left_out["frame without a command in the bag"] += unanswered
    took = time.perf_counter() - started_s, time.process_time() - cpu_started_s
    return Rerun(tuple(state.compared), +state.left_out, *took)


def _all_answers(run: RecordedRun) -> list[Answer | Reply]:
    """An answer for each frame that was answered, in the order of their stamps.

    Where the bag lost a command, the driver's reply to it tells that there was one.
    """
    answers: dict[int, Answer | Reply] = {answer.stamp_ns: answer for answer in run.answers}
    for reply in run.replies:
        if not reply.report.is_activation:
            answers.setdefault(reply.stamp_ns, reply)
    return [answers[stamp_ns] for stamp_ns in sorted(answers)]


class _State:
    """What the policy node would know at each frame."""

    def __init__(self, run: RecordedRun, bundle: PolicyBundle, look: LookRate) -> None:
        self._run, self._manifest = run, bundle.manifest
        own_box_m = bundle.manifest.action.target_box_m
        world_box_m = box_told(run.diagnostics.get(POLICY_NODE, {}).get("world_box_m", ""))
        target_box_m = own_box_m if world_box_m is None else common_box(own_box_m, world_box_m)
        self._actor = CommandRuntime(bundle.manifest, policy_at(bundle, look), target_box_m)
        self._history, self._joint_index = JointHistory(), 0
        self._setpoints, self._reply_index = SetpointTracker(), 0
        self._replied = {reply.stamp_ns for reply in run.replies if not reply.report.is_activation}
        actor, observation = bundle.manifest.actor, bundle.manifest.observation
        self._has_memory = observation.last_actions > 0 or actor.state_size > 0 or look != EVERY_FRAME
        self._is_known = True
        self._goals = self._accepted_goals()
        self.compared: list[Compared] = []
        self.left_out: Counter[str] = Counter()

    def _accepted_goals(self) -> list[tuple[int, FloatArray]]:
        told = self._run.diagnostics.get(POLICY_NODE, {}).get("calibration", "")
        in_force = CalibrationInForce.told(told)
        camera = self._manifest.camera if in_force is None else in_force.calibration
        base_T_camera = camera.base_T_camera.pose()
        verdicts = [(at_ns, judge_goal(goal, self._manifest.goal, base_T_camera)) for at_ns, goal in self._run.goals]
        return [(at_ns, verdict.position_m) for at_ns, verdict in verdicts if verdict.position_m is not None]

    def answer_without_frame(self, answer: Answer | Reply) -> None:
        """The actor saw a frame that the bag does not hold, or held."""
        self._hear_driver(answer)
        if _is_hold(answer):
            self._hold()
        else:
            self._lost_step()
            self.left_out["command without its frame in the bag"] += 1
        self._setpoints.sent(answer.stamp_ns)

    def answer(self, answer: Answer | Reply, messages: FrameMessages, received_ns: int) -> None:
        """A frame that was answered: act, and compare if it was answered by the actor."""
        self._hear_driver(answer)
        if _is_hold(answer):
            self._hold()
            self.left_out["hold"] += 1
        elif isinstance(answer, Answer) and answer.by_move:
            self.left_out["command of an operator's move"] += 1
        else:
            self._act(answer, messages, received_ns)
        self._setpoints.sent(answer.stamp_ns)

    def _act(self, answer: Answer | Reply, messages: FrameMessages, received_ns: int) -> None:
        joints, goal_m, setpoint = self._joints_at(messages.stamp_ns), self._goal_at(answer), self._setpoints.setpoint
        if joints is None or goal_m is None or setpoint is None or self._setpoints.is_awaited:
            missing = "joints" if joints is None else "accepted goal" if goal_m is None else "setpoint"
            self._lost_step()
            self.left_out[f"no {missing} in the bag"] += 1
            return
        try:
            color, info, depth = decoded(messages.color), decoded(messages.info), decoded(messages.depth)
            started_s = time.perf_counter()
            frame = RgbdFrame(messages.stamp_ns, decode_color(color), decode_depth(depth))
            now = self._actor.command(Sensed(frame, decode_camera_info(info), joints, goal_m, setpoint))
        except (ObservationError, CommandError) as error:
            self._lost_step()
            self.left_out[f"no command now: {error}"] += 1
            return
        except FetchSim2RealError:
            self._lost_step()
            self.left_out["damaged frame"] += 1
            return
        took_s = time.perf_counter() - started_s
        if isinstance(answer, Answer):
            compared = Compared(messages.stamp_ns, received_ns, answer, now, setpoint, took_s, self._is_known)
            self.compared.append(compared)
        else:
            self.left_out["frame without a command in the bag"] += 1

    def _hold(self) -> None:
        if self._actor.skip():
            self._is_known = True

    def _forget(self) -> None:
        self._actor.reset()
        self._is_known = True

    def _lost_step(self) -> None:
        """The actor acted then and cannot now."""
        self._actor.note_unknown_action()
        self._is_known = not self._has_memory

    def _hear_driver(self, answer: Answer | Reply) -> None:
        """Take in what the driver said before it replied to ``answer``."""
        replies, is_replied = self._run.replies, answer.stamp_ns in self._replied
        while self._reply_index < len(replies):
            reply = replies[self._reply_index]
            if reply.report.is_activation:
                if not is_replied and reply.received_ns > answer.received_ns:
                    return
            elif reply.stamp_ns >= answer.stamp_ns:
                return
            self._reply_index += 1
            if self._setpoints.on_report(reply.report):
                self._forget()

    def _joints_at(self, stamp_ns: int) -> JointSample | None:
        joints = self._run.joints
        while self._history.newest_ns < stamp_ns and self._joint_index < len(joints):
            self._history.add(joints[self._joint_index])
            self._joint_index += 1
        return self._history.at(stamp_ns)

    def _goal_at(self, answer: Answer | Reply) -> FloatArray | None:
        index = bisect_right(self._goals, answer.received_ns, key=lambda goal: goal[0])
        return self._goals[index - 1][1] if index else None


def _is_hold(answer: Answer | Reply) -> bool:
    return answer.command.hold if isinstance(answer, Answer) else answer.report.outcome == HOLD
