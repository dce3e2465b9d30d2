"""The safety filter: judges every command, limits it, and brakes when commands, joint states or the arm fail.

Works on core types with the time passed in; the driver and the simulated loop run the same code. It owns the commanded
state of the arm: the last trajectory sent, sampled at the present time, is where the next one starts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from fetch_sim2real.arm.collision import Scene
from fetch_sim2real.arm.limits import LimitProfile
from fetch_sim2real.common.small_arrays import all_finite, any_true
from fetch_sim2real.control.checks import (
    FilterSettings,
    Refusal,
    check_activation,
    content_refusal,
    jump_refusal,
    stamp_refusal,
    wanted_motion,
)
from fetch_sim2real.control.fingers import FingerGoals
from fetch_sim2real.control.limiter import LimitResult, MotionLimiter, Rule, limiter_of
from fetch_sim2real.control.states import Event, State, StateMachine, TransitionError
from fetch_sim2real.control.trajectory import (
    RunningTrajectory,
    braking_trajectory,
    resting_trajectory,
    states_at,
    stopping_trajectories,
    stopping_trajectory,
    time_to_rest_s,
)
from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.messages.motion import ACTIVATED, COMMAND, HOLD, LIMITED, PACED, refused
from fetch_sim2real.timing import CONTROL_PERIOD_NS, CONTROL_PERIOD_S
from fetch_sim2real.types import FloatArray, JointCommand, JointSample, JointSetpoint, JointTrajectory


@dataclass(frozen=True)
class Decision:
    """What the filter made of a command or of silence.

    ``outcome`` is one of those of ``messages.motion``. ``setpoint`` is the commanded state one control period from
    now; its arrays are empty while there is none (never active, fault). ``trajectory`` and ``finger_position_m`` are to
    be sent to the robot, None where nothing new is to be sent. ``rules`` says what limited it, ``detail`` why for
    people.
    """

    outcome: str
    setpoint: JointSetpoint
    trajectory: JointTrajectory | None = None
    finger_position_m: float | None = None
    rules: Rule = Rule.NONE
    detail: str = ""


@dataclass(frozen=True)
class WantedMotion:
    """A command that was judged good, before any limit: velocity ``wanted`` (n,) [rad/s] from the ``reference`` state.

    ``on_path`` and ``speed_scale`` as in ``MotionLimiter.limit``; ``finger_position_m`` as in ``Decision``.
    """

    now_ns: int
    reference: JointSetpoint
    wanted: FloatArray
    on_path: bool
    speed_scale: float
    finger_position_m: float | None


# What runs comes to rest by itself. Something else is sent only to be at rest by more than this sooner: each goal that
# arrives later or sooner than the one before it pulls at the arm.
LEAST_BRAKING_GAIN_S: Final = 0.5 * CONTROL_PERIOD_S
# A controller may hold the arm elsewhere than where it is measured, by what its servos yield under a load. It is
# brought there over this time and not with a jerk.
ACTIVATION_HOLD_S: Final = 0.3
NO_SETPOINT: Final = JointSetpoint(np.zeros(0), np.zeros(0))


class SafetyFilter:
    """One arm's filter. Starts disabled; ``activate`` is the only way to make it follow commands."""

    def __init__(self, profile: LimitProfile, scene: Scene, settings: FilterSettings | None = None) -> None:
        self.settings = settings or FilterSettings.of_arm(scene.arm)
        self._arm = scene.arm
        self._profile = profile
        self._scene = scene
        self.limiter = limiter_of(profile, scene, self.settings.speed_scale)
        self.tracking_error_rad = np.array(self.settings.tracking_error_rad)
        # Half a period of grace: commands are never exactly on time.
        periods = self.settings.send_periods
        self._least_gap_ns = round((periods - 0.5) * CONTROL_PERIOD_NS) if periods > 1 else 0
        self.refusals: Counter[str] = Counter()
        self._machine = StateMachine()
        self._running: RunningTrajectory | None = None
        self._before: RunningTrajectory | None = None
        self._sample: JointSample | None = None
        self._tracking_fault = ""
        self._fingers = FingerGoals(self.settings, scene.arm.finger_max_m)
        self._activated_ns = 0
        self._last_stamp_ns: int | None = None
        self._last_valid_ns: int | None = None
        self._ends_disabled = False

    @property
    def state(self) -> State:
        """Present state of the driver."""
        return self._machine.state

    @property
    def state_reason(self) -> str:
        """Why that state was entered."""
        return self._machine.reason

    @property
    def stopped_by_tracking(self) -> bool:
        """Whether the driver is stopped because the arm did not follow, and for no other reason."""
        return self.state is State.STOPPED and self.state_reason == self._tracking_fault

    def cap_speed(self, speed_scale: float) -> None:
        """Limit velocities to this share of the profile's from now on; while active it can only become smaller.

        An arm that is faster than that slows down from the next command on, within the acceleration limits: they stay
        as they are, and so does the end of every path that was checked with them.

        FetchSim2RealError unless it lies in (0, 1], or if it would let an active arm become faster.
        """
        if speed_scale == self.settings.speed_scale:
            return
        if self.state is State.ACTIVE and speed_scale > self.settings.speed_scale:
            raise FetchSim2RealError(
                f"speed scale is {self.settings.speed_scale:g} and the arm is active, so it can only be lowered: "
                "disable it first"
            )
        self.limiter = limiter_of(self._profile, self._scene, speed_scale)
        self.settings = replace(self.settings, speed_scale=speed_scale)

    def activate(self, now_ns: int, measured: JointSample) -> Decision:
        """Follow commands from now on, starting from the measured position; sends a hold there.

        Raises:
            TransitionError: the present state does not allow it (already active, or latched and not reset).
            ActivationError: the sample is old or not finite, or the arm moves or is outside limits or scene.
        """
        if self._machine.allows(Event.ENABLE):
            check_activation(now_ns, measured, self.limiter.profile, self.limiter.model, self.settings)
        self._machine.handle(Event.ENABLE, "enabled")
        self._activated_ns = now_ns
        self._last_stamp_ns = self._last_valid_ns = None
        self._fingers.start(measured.finger_position_m)
        self._tracking_fault = ""
        self._ends_disabled = False
        self._sample = measured
        setpoint = JointSetpoint.at_rest(measured.position)
        hold = resting_trajectory(setpoint.position, ACTIVATION_HOLD_S, self._arm.joint_names)
        self._running = self._before = None
        self._start(RunningTrajectory(now_ns, setpoint, hold))
        return Decision(ACTIVATED, setpoint, hold)

    def disable(self, now_ns: int, reason: str) -> Decision:
        """Brake if moving and follow no more commands."""
        self._machine.handle(Event.DISABLE, reason)
        return self._brake(now_ns, HOLD, reason)

    def stop(self, now_ns: int, reason: str) -> Decision:
        """Brake if moving and latch STOPPED."""
        self._machine.handle(Event.STOP, reason)
        return self._brake(now_ns, HOLD, reason)

    def lose(self, now_ns: int, reason: str, *, then_disabled: bool = False) -> Decision | None:
        """Leave ACTIVE, where only ``activate`` leads back to: the robot, or what is known of it, is gone.

        HOLD follows, and with ``then_disabled`` DISABLED as soon as the arm is at rest. None if not active.
        """
        self._ends_disabled = self._ends_disabled or then_disabled  # also where it is in HOLD for another reason
        if self.state is not State.ACTIVE:
            return None
        self._machine.handle(Event.SILENCE, reason)
        return self._brake(now_ns, HOLD, reason)

    def fault(self, reason: str) -> None:
        """Latch FAULT: the robot faulted or lost power. Nothing is sent, the commanded state is forgotten."""
        self._machine.handle(Event.FAULT, reason)
        self._running = self._before = None

    def reset(self, reason: str) -> None:
        """Leave STOPPED or FAULT for DISABLED; ``activate`` is still needed."""
        self._machine.handle(Event.RESET, reason)

    def on_joint_sample(self, sample: JointSample) -> None:
        """Take note of measured joints; an excessive tracking error acts at the next tick or command."""
        hear_together([self], [[sample]])

    def hear(self, samples: Sequence[JointSample]) -> list[tuple[RunningTrajectory, JointSample]]:
        """Take note of measured joints in the order in which they came; return those of an arm that follows commands,
        each with what it was to follow. ``check_tracking`` is to be told of these.
        """
        followed = []
        for sample in samples:
            if sample.position.shape != (self._arm.joint_count,) or not all_finite(sample.position):
                continue  # as good as none: too long without a usable one is noticed
            if self._sample is not None and sample.stamp_ns < self._sample.stamp_ns:
                continue
            self._sample = sample
            running = self._running
            if running is not None and self._before is not None and sample.stamp_ns < running.sent_ns:
                running = self._before
            if running is not None and self.state is State.ACTIVE:
                followed.append((running, sample))
        return followed

    def check_tracking(self, commanded: FloatArray, measured: FloatArray) -> None:
        """Take note of a position (n,) that is too far from where the arm was commanded to be."""
        error = np.abs(commanded - measured)
        if any_true(error > self.tracking_error_rad):
            joint = int(np.argmax(error / self.tracking_error_rad))
            self._tracking_fault = (
                f"{self._arm.joint_names[joint]} commanded to {commanded[joint]:.3f} rad, measured "
                f"{measured[joint]:.3f} rad, allowed difference {self.settings.tracking_error_rad[joint]} rad"
            )

    def is_at_rest(self, now_ns: int) -> bool:
        """Return whether the arm is commanded to stand still."""
        return self._running is None or not any_true(self._running.at(now_ns).velocity)

    def forget_motion(self) -> None:
        """Forget the commanded state of an arm at rest: the clock that it was sampled by is another one from now on."""
        if self.state is State.ACTIVE:
            raise TransitionError("the commanded state cannot be forgotten while the arm follows commands")
        self._running = self._before = None

    def tick(self, now_ns: int) -> Decision | None:
        """Notice silence and tracking errors; a decision (brake) at the moment one is noticed, else None."""
        if self._ends_disabled and self.state is State.HOLD and self.is_at_rest(now_ns):
            self._machine.handle(Event.DISABLE, self.state_reason)
            self._ends_disabled = False
        lapse = self._supervise(now_ns)
        return self._brake(now_ns, HOLD, lapse.detail) if lapse else None

    def on_command(self, now_ns: int, command: JointCommand) -> Decision:
        """Judge and limit ``command``; the decision says what to send and what the commanded state becomes."""
        return decide_together([self], [now_ns], [command])[0]

    def screen(self, now_ns: int, command: JointCommand) -> Decision | RunningTrajectory:
        """Return what runs, for ``judge``, if nothing is wrong with ``command`` by itself; else what becomes of it."""
        lapse = self._supervise(now_ns)
        if lapse:
            return self._refuse(now_ns, lapse)
        if self.state is not State.ACTIVE or self._running is None:
            return self._refuse(now_ns, Refusal("not_active", f"the driver is {self.state.value}: {self.state_reason}"))
        stamp_ns = command.stamp_ns
        refusal = stamp_refusal(now_ns, stamp_ns, self._activated_ns, self._last_stamp_ns, self.settings)
        if refusal:
            return self._refuse(now_ns, refusal)
        self._last_stamp_ns = stamp_ns
        if command.hold:
            self._last_valid_ns = now_ns
            return replace(
                self._brake(now_ns, HOLD, "nothing to do"), finger_position_m=self._fingers.take_due(now_ns)
            )
        refusal = content_refusal(command, self._arm.joint_count)
        return self._refuse(now_ns, refusal) if refusal else self._running

    def judge(
        self, now_ns: int, command: JointCommand, reference: JointSetpoint, motion: tuple[FloatArray, FloatArray]
    ) -> Decision | WantedMotion:
        """Return what a screened ``command`` wants, to be limited and then followed (``follow``); a decision if it ends
        here.

        ``reference`` is the commanded state now; ``motion`` is the command's ``wanted_motion`` from there.
        """
        running = self._running
        assert running is not None
        wanted, expected = motion
        refusal = jump_refusal(command, expected, self.settings, self._arm.joint_names)
        if refusal:
            return self._refuse(now_ns, refusal)
        self._last_valid_ns = now_ns
        self._fingers.want(command.finger_position_m)
        finger_position_m = self._fingers.take_due(now_ns)
        if now_ns - running.sent_ns < self._least_gap_ns:
            return Decision(PACED, running.at(now_ns + CONTROL_PERIOD_NS), None, finger_position_m)
        on_path = running.brakes_on_path(now_ns)
        return WantedMotion(now_ns, reference, wanted, on_path, self._soft_start_scale(now_ns), finger_position_m)

    def refuse(self, now_ns: int, refusal: Refusal) -> Decision:
        """Refuse a command for what only the caller can see, as a message that is none: counted, and the arm brakes."""
        return self._refuse(now_ns, self._supervise(now_ns) or refusal)

    def follow(self, motion: WantedMotion, result: LimitResult, stopping: JointTrajectory) -> Decision:
        """Follow what the limiter left of the motion that ``judge`` returned just now; ``stopping`` is the trajectory
        through that setpoint to rest.
        """
        running = self._running
        assert running is not None
        now_ns, reference, finger_position_m = motion.now_ns, motion.reference, motion.finger_position_m
        rules = Rule(int(result.rules))
        outcome = LIMITED if rules else COMMAND
        if not result.viable or not (any_true(reference.velocity) or any_true(result.velocity)):
            # Keep what runs: its own braking tail, or the hold it has come to.
            return Decision(outcome, running.at(now_ns + CONTROL_PERIOD_NS), None, finger_position_m, rules)
        if result.braking:
            return replace(self._brake(now_ns, outcome, ""), finger_position_m=finger_position_m, rules=rules)
        setpoint = JointSetpoint(result.position, result.velocity)
        steps = self._carried_on(now_ns, setpoint, motion.wanted)
        if len(steps) > 1:
            acceleration, names = self.limiter.profile.acceleration, self._arm.joint_names
            stopping = stopping_trajectory(steps[-1], acceleration, steps[:-1], names)
        self._start(RunningTrajectory(now_ns, reference, stopping, len(steps)))
        return Decision(outcome, setpoint, stopping, finger_position_m, rules)

    def _carried_on(self, now_ns: int, setpoint: JointSetpoint, wanted: FloatArray) -> tuple[JointSetpoint, ...]:
        """``setpoint`` and those of the periods until the next trajectory is due, with ``wanted`` going on."""
        steps = [setpoint]
        while len(steps) < self.settings.send_periods:
            last, scale = steps[-1], self._soft_start_scale(now_ns)
            # Each setpoint's own coast and ramp have been checked, so that braking from it stays on a checked path.
            result = self.limiter.limit(last.position, last.velocity, wanted, on_path=True, speed_scale=scale)
            if result.braking:
                break
            steps.append(JointSetpoint(result.position, result.velocity))
        return tuple(steps)

    def _supervise(self, now_ns: int) -> Refusal | None:
        """Leave ACTIVE if something ceased or the arm does not follow, and say why."""
        if self.state is not State.ACTIVE:
            return None
        if self._tracking_fault:
            self._machine.handle(Event.STOP, self._tracking_fault)
            return Refusal("tracking_error", self._tracking_fault)
        lapse = self._silence(now_ns)
        if lapse:
            self._machine.handle(Event.SILENCE, lapse.detail)
        return lapse

    def _silence(self, now_ns: int) -> Refusal | None:
        settings = self.settings
        age_s = np.inf if self._sample is None else (now_ns - self._sample.stamp_ns) * 1e-9
        if age_s > settings.joint_sample_timeout_s:
            allowed_s = settings.joint_sample_timeout_s
            return Refusal("stale_joints", f"the last joint state is {age_s:.3f} s old, allowed {allowed_s} s")
        if -age_s > settings.max_joints_ahead_s:
            # Whatever came after it looked old beside it.
            detail = f"the last joint state is {-age_s:.3f} s ahead, allowed {settings.max_joints_ahead_s} s"
            return Refusal("future_joints", detail)
        if self._last_valid_ns is None:
            since_ns, allowed_s = self._activated_ns, settings.first_command_timeout_s
        else:
            since_ns, allowed_s = self._last_valid_ns, settings.command_timeout_s
        silence_s = (now_ns - since_ns) * 1e-9
        if silence_s > allowed_s:
            return Refusal("command_timeout", f"no valid command for {silence_s:.3f} s, allowed {allowed_s} s")
        return None

    def _soft_start_scale(self, now_ns: int) -> float:
        settings = self.settings
        since_s = (now_ns - self._activated_ns) * 1e-9
        if since_s >= settings.soft_start_s:
            return 1.0
        return settings.soft_start_speed + (1.0 - settings.soft_start_speed) * since_s / settings.soft_start_s

    def _refuse(self, now_ns: int, refusal: Refusal) -> Decision:
        self.refusals[refusal.reason] += 1
        return self._brake(now_ns, refused(refusal.reason), refusal.detail)

    def _brake(self, now_ns: int, outcome: str, detail: str) -> Decision:
        """Come to rest: by what runs, or by braking now where that is sooner."""
        if self._running is None:
            return Decision(outcome, NO_SETPOINT, detail=detail)
        trajectory = self._slow_down(now_ns, self._running)
        return Decision(outcome, self._running.at(now_ns + CONTROL_PERIOD_NS), trajectory, detail=detail)

    def _slow_down(self, now_ns: int, running: RunningTrajectory) -> JointTrajectory | None:
        """A ramp to rest in place of what runs; None if that is at rest as soon, or the ramp might leave the limits."""
        reference, acceleration = running.at(now_ns), self.limiter.profile.acceleration
        gain_s = running.rest_in_s(now_ns) - time_to_rest_s(reference.velocity, acceleration)
        if not any_true(reference.velocity) or gain_s <= LEAST_BRAKING_GAIN_S:
            return None
        on_path = running.brakes_on_path(now_ns)
        if not self.limiter.brake(reference.position, reference.velocity, on_path=on_path).viable:
            return None
        trajectory = braking_trajectory(reference, acceleration, self._arm.joint_names)
        self._start(RunningTrajectory(now_ns, reference, trajectory, steps=0))
        return trajectory

    def _start(self, running: RunningTrajectory) -> None:
        self._before, self._running = self._running, running


def hear_together(filters: Sequence[SafetyFilter], samples: Sequence[Sequence[JointSample]]) -> None:
    """Let each filter take note of its joint states, in the order in which they came.

    An excessive tracking error acts at the next tick or command.
    """
    heard = [(each, *followed) for each, own in zip(filters, samples, strict=True) for followed in each.hear(own)]
    if not heard:
        return
    listening, running, taken = zip(*heard, strict=True)
    commanded, _ = states_at(running, [sample.stamp_ns for sample in taken])
    measured = np.array([sample.position for sample in taken])
    allowed_rad = np.array([each.tracking_error_rad for each in listening])
    for row in np.flatnonzero((np.abs(commanded - measured) > allowed_rad).any(axis=1)).tolist():
        listening[row].check_tracking(commanded[row], measured[row])


_UNDECIDED: Final = Decision("", NO_SETPOINT)


def decide_together(
    filters: Sequence[SafetyFilter], now_ns: Sequence[int], commands: Sequence[JointCommand]
) -> list[Decision]:
    """Return what each filter makes of its command at its time: each what it would decide alone.

    What their commands want is worked out for all at once, and the same limiter's arms are limited in one call: that
    costs little more than that of a single arm.
    """
    decisions: list[Decision] = [_UNDECIDED] * len(filters)
    screened: list[tuple[int, RunningTrajectory]] = []
    for index, (each, now, command) in enumerate(zip(filters, now_ns, commands, strict=True)):
        found = each.screen(now, command)
        if isinstance(found, Decision):
            decisions[index] = found
        else:
            screened.append((index, found))
    if not screened:
        return decisions
    indices, running = zip(*screened, strict=True)
    position, velocity = states_at(running, [now_ns[index] for index in indices])
    motions = zip(*wanted_motion(position, velocity, [commands[index] for index in indices]), strict=True)
    alike: dict[MotionLimiter, list[tuple[int, WantedMotion]]] = {}
    for row, (index, motion) in enumerate(zip(indices, motions, strict=True)):
        reference = JointSetpoint(position[row], velocity[row])
        judged = filters[index].judge(now_ns[index], commands[index], reference, motion)
        if isinstance(judged, WantedMotion):
            alike.setdefault(filters[index].limiter, []).append((index, judged))
        else:
            decisions[index] = judged
    for limiter, asked in alike.items():
        _follow_together(limiter, filters, asked, decisions)
    return decisions


def _follow_together(
    limiter: MotionLimiter,
    filters: Sequence[SafetyFilter],
    asked: Sequence[tuple[int, WantedMotion]],
    decisions: list[Decision],
) -> None:
    """Put into ``decisions`` what becomes of motions that one limiter limits, each with its filter's index."""
    motions = [motion for _, motion in asked]
    result = limiter.limit(
        np.array([motion.reference.position for motion in motions]),
        np.array([motion.reference.velocity for motion in motions]),
        np.array([motion.wanted for motion in motions]),
        on_path=np.array([motion.on_path for motion in motions]),
        speed_scale=np.array([motion.speed_scale for motion in motions]),
    )
    stopping = stopping_trajectories(
        result.position, result.velocity, limiter.profile.acceleration, limiter.model.scene.arm.joint_names
    )
    for row, (index, motion) in enumerate(asked):
        decisions[index] = filters[index].follow(motion, result.row(row), stopping[row])
