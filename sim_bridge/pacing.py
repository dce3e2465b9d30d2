"""The two paces of simulated time: lockstep with the driver's answers, and real time, which waits for nobody.

In lockstep the world advances one period only when the driver has answered the last frame, so that results do not
depend on how fast the machine is. A period:

1. physics up to the time of the next frame's publication; joint states and the clock are published;
2. the driver, once it has both, runs its watchdog and echoes the clock;
3. the frame is published; the policy answers every frame with a command or a hold, the driver every answer with a
   setpoint report of the frame's stamp, and says how many trajectories it has sent;
4. once those are here, the next period begins.
"""

from __future__ import annotations

import time
from enum import Enum, auto
from typing import Final

from fetch_sim2real.errors import GraphError
from fetch_sim2real.messages.motion import SentCounts
from fetch_sim2real.timing import JOINT_STATE_EVERY_STEPS, PHYSICS_STEP_S
from sim_bridge.simulation_session import SimulationSession

_IDLE_S: Final = 0.05
# A best-effort image may be lost, and without this the run with it.
_REPUBLISH_AFTER_S: Final = 1.0


class _Waiting(Enum):
    NOTHING = auto()
    START = auto()
    TICK = auto()
    GOAL = auto()
    ANSWER = auto()


class Lockstep:
    """Pace a session by the driver's answers."""

    def __init__(self, session: SimulationSession, timeout_s: float) -> None:
        self._session = session
        self._timeout_s = timeout_s
        self._waiting = _Waiting.NOTHING
        self._tick_ns = -1
        self._frame_ns = -1
        self._answer: tuple[int, SentCounts] | None = None
        self._received = [0, 0]
        self._activation = SentCounts()

    def start(self) -> None:
        """Begin to run time."""
        self._waiting = _Waiting.NOTHING
        self._answer = None

    def on_tick(self, stamp_ns: int) -> None:
        """Note that the driver has dealt with this time."""
        self._tick_ns = stamp_ns

    def on_trajectory(self, group: int, number: int) -> None:
        """Note that a trajectory for the arm (0) or the gripper (1) has arrived."""
        self._received[group] = number

    def on_activation(self, sent: SentCounts) -> None:
        """Note that the driver has been enabled, having sent this many trajectories before the first frame."""
        self._activation = sent

    def on_setpoint(self, stamp_ns: int, sent: SentCounts) -> None:
        """Take in the driver's answer to the frame of this stamp, and how many trajectories it has sent in all."""
        self._answer = (stamp_ns, sent)

    def catch_up(self) -> None:
        """Do nothing: time does not run by itself here."""

    def work(self) -> float:
        """Do what can be done; returns how long to wait for events [s]."""
        sim = self._session.sim
        if self._waiting is _Waiting.NOTHING and not self._has(self._activation):
            self._wait_for(_Waiting.START)
        if self._waiting is _Waiting.START and self._has(self._activation):
            self._waiting = _Waiting.NOTHING
        if self._waiting is _Waiting.NOTHING:
            self._session.run_to(sim.next_publication_step())
            self._wait_for(_Waiting.TICK)
        if self._waiting is _Waiting.TICK and self._tick_ns == sim.now_ns:
            if sim.done:
                self._waiting = _Waiting.NOTHING
                return 0.0
            # A new goal is in force before its first frame is seen: the operator resumes when the policy has it.
            if self._session.publish_due_goal():
                self._wait_for(_Waiting.GOAL)
                return self._check_time()
            self._publish_frame()
        if self._waiting is _Waiting.ANSWER and self._is_answered():
            self._waiting = _Waiting.NOTHING
            return 0.0
        return self._check_time()

    def resume(self) -> None:
        """Note that the goal that was waited for has been accepted."""
        if self._waiting is _Waiting.GOAL:
            self._publish_frame()

    def _publish_frame(self) -> None:
        self._frame_ns = self._session.publish_frame()
        self._wait_for(_Waiting.ANSWER)

    @property
    def is_over(self) -> bool:
        """The episode's time has run out and everybody has dealt with it."""
        return self._session.sim.done and self._waiting is _Waiting.NOTHING

    def _is_answered(self) -> bool:
        if self._answer is None or self._answer[0] != self._frame_ns:
            return False
        return self._has(self._answer[1])

    def _has(self, counts: SentCounts) -> bool:
        """Whether that many trajectories are here: two topics of one publisher need not arrive in order."""
        return all(here >= sent for here, sent in zip(self._received, counts, strict=True))

    def _wait_for(self, what: _Waiting) -> None:
        self._waiting = what
        self._since_s = self._repeated_s = time.monotonic()

    def _check_time(self) -> float:
        now_s = time.monotonic()
        waited_s = now_s - self._since_s
        if waited_s > self._timeout_s:
            raise GraphError(self._complaint(waited_s))
        if now_s - self._repeated_s > _REPUBLISH_AFTER_S:
            self._repeated_s = now_s
            if self._waiting is _Waiting.ANSWER:
                self._session.publish_frame_again()
            elif self._waiting is _Waiting.GOAL:
                self._session.publish_due_goal()
            else:
                self._session.publish_present()
        return _IDLE_S

    def _complaint(self, waited_s: float) -> str:
        now_ns = self._session.sim.now_ns
        if self._waiting is _Waiting.START:
            return (
                f"lockstep: the driver was enabled after {tuple(self._activation)} trajectories to arm and gripper, "
                f"and number {tuple(self._received)} were the last to arrive within {waited_s:.1f} s"
            )
        if self._waiting is _Waiting.TICK:
            return (
                f"lockstep: no echo of the clock's {now_ns} ns within {waited_s:.1f} s (the last was of "
                f"{self._tick_ns} ns). Is arm_driver running, with lockstep:=true?"
            )
        if self._waiting is _Waiting.GOAL:
            return f"lockstep: a goal changes on the way, and nobody has stated it and resumed within {waited_s:.1f} s"
        if self._answer is None or self._answer[0] != self._frame_ns:
            missing = (
                "a command has come and no setpoint: is arm_driver running, with lockstep:=true?"
                if self._session.log.is_commanded(self._frame_ns)
                else "neither command nor setpoint has come: is policy_node running, and do images arrive (both ends "
                "need the same transport settings, see 'fetch-sim2real doctor')?"
            )
            return f"lockstep: {waited_s:.1f} s after the frame of {self._frame_ns} ns {missing}"
        return (
            f"lockstep: the driver has sent {tuple(self._answer[1])} trajectories to arm and gripper, and number "
            f"{tuple(self._received)} were the last to arrive within {waited_s:.1f} s"
        )


# A machine that falls further behind makes the world slower; it does not skip, and it does not race afterwards.
_MAX_LAG_S: Final = 0.05


class RealTime:
    """Pace a session by the steady clock, on absolute deadlines; ``factor`` of its seconds take one of the clock's."""

    def __init__(self, session: SimulationSession, factor: float) -> None:
        self._session = session
        self._step_s = PHYSICS_STEP_S / factor
        self._start_s = 0.0
        self._start_step = 0
        self.lost_s = 0.0

    def start(self) -> None:
        """Begin to run time."""
        self._start_s, self._start_step = time.monotonic(), self._session.sim.step

    def on_tick(self, stamp_ns: int) -> None:
        """See Lockstep; nobody is waited for."""

    def on_trajectory(self, group: int, number: int) -> None:
        """See Lockstep; nobody is waited for."""

    def on_activation(self, sent: SentCounts) -> None:
        """See Lockstep; nobody is waited for."""

    def on_setpoint(self, stamp_ns: int, sent: SentCounts) -> None:
        """See Lockstep; nobody is waited for."""

    def resume(self) -> None:
        """See Lockstep; nobody is waited for."""

    @property
    def is_over(self) -> bool:
        """The episode's time has run out."""
        return self._session.sim.done

    def catch_up(self) -> None:
        """Advance to the present, so that what has just arrived acts from now and not from the last slice's end."""
        now_step = self._start_step + int((time.monotonic() - self._start_s) / self._step_s)
        self._run_to(min(now_step, self._next_stop()))

    def work(self) -> float:
        """Run what is due, one slice at a time so that events get their turn; returns the time to the next [s]."""
        stop = self._next_stop()
        late_s = time.monotonic() - self._deadline_s(stop)
        if late_s < 0.0:
            return -late_s
        if late_s > _MAX_LAG_S:
            self._start_s += late_s
            self.lost_s += late_s
        self._run_to(stop)
        return 0.0

    def _next_stop(self) -> int:
        sim = self._session.sim
        boundary = sim.step - sim.step % JOINT_STATE_EVERY_STEPS + JOINT_STATE_EVERY_STEPS
        return min(boundary, sim.next_publication_step())

    def _deadline_s(self, step: int) -> float:
        return self._start_s + (step - self._start_step) * self._step_s

    def _run_to(self, step: int) -> None:
        sim = self._session.sim
        if step > sim.step:
            self._session.run_to(step)
        if not sim.done and sim.step == sim.next_publication_step():
            self._session.publish_due_goal()
            self._session.publish_frame()
