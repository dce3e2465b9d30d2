"""Lockstep: the world advances one period only when the driver has answered the last frame.

Results then do not depend on how fast the machine is. A period:

1. physics up to the time of the next frame's publication; joint states and the clock are published;
2. the driver, once it has both, runs its watchdog and echoes the clock;
3. the frame is published; the policy answers every frame with a command or a hold, the driver every answer with a
   setpoint of the frame's stamp, which names the last trajectory it has sent;
4. once that trajectory is here, the next period begins.
"""

from __future__ import annotations

import time
from enum import Enum, auto
from typing import Final

from fetch_sim2real.errors import GraphError
from fetch_sim2real.messages.motion import SentCounts
from sim_bridge.cell import Cell

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
    """Paces a cell by the driver's answers."""

    def __init__(self, cell: Cell, timeout_s: float) -> None:
        self._cell = cell
        self._timeout_s = timeout_s
        self._waiting = _Waiting.NOTHING
        self._tick_ns = -1
        self._frame_ns = -1
        self._answer: tuple[int, SentCounts] | None = None
        self._received = [0, 0]
        self._activation = SentCounts()

    def start(self) -> None:
        """Time begins to run."""
        self._waiting = _Waiting.NOTHING
        self._answer = None

    def on_tick(self, stamp_ns: int) -> None:
        """The driver has dealt with this time."""
        self._tick_ns = stamp_ns

    def on_trajectory(self, group: int, number: int) -> None:
        """A trajectory for the arm (0) or the gripper (1) has arrived."""
        self._received[group] = number

    def on_activation(self, sent: SentCounts) -> None:
        """The driver has been enabled, having sent this many trajectories: they belong to the time before the first."""
        self._activation = sent

    def on_setpoint(self, stamp_ns: int, sent: SentCounts) -> None:
        """The driver's answer to the frame of this stamp, and how many trajectories it has sent in all."""
        self._answer = (stamp_ns, sent)

    def catch_up(self) -> None:
        """Time does not run by itself here."""

    def work(self) -> float:
        """Do what can be done; returns how long to wait for events [s]."""
        sim = self._cell.sim
        if self._waiting is _Waiting.NOTHING and not self._has(self._activation):
            self._wait_for(_Waiting.START)
        if self._waiting is _Waiting.START and self._has(self._activation):
            self._waiting = _Waiting.NOTHING
        if self._waiting is _Waiting.NOTHING:
            self._cell.run_to(sim.next_publication_step())
            self._wait_for(_Waiting.TICK)
        if self._waiting is _Waiting.TICK and self._tick_ns == sim.now_ns:
            if sim.done:
                self._waiting = _Waiting.NOTHING
                return 0.0
            # A new goal is in force before its first frame is seen: the operator resumes when the policy has it.
            if self._cell.publish_due_goal():
                self._wait_for(_Waiting.GOAL)
                return self._check_time()
            self._publish_frame()
        if self._waiting is _Waiting.ANSWER and self._is_answered():
            self._waiting = _Waiting.NOTHING
            return 0.0
        return self._check_time()

    def resume(self) -> None:
        """The goal that was waited for has been accepted."""
        if self._waiting is _Waiting.GOAL:
            self._publish_frame()

    def _publish_frame(self) -> None:
        self._frame_ns = self._cell.publish_frame()
        self._wait_for(_Waiting.ANSWER)

    @property
    def is_over(self) -> bool:
        """The episode's time has run out and everybody has dealt with it."""
        return self._cell.sim.done and self._waiting is _Waiting.NOTHING

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
                self._cell.publish_frame_again()
            elif self._waiting is _Waiting.GOAL:
                self._cell.publish_due_goal()
            else:
                self._cell.publish_present()
        return _IDLE_S

    def _complaint(self, waited_s: float) -> str:
        now_ns = self._cell.sim.now_ns
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
                if self._cell.log.is_commanded(self._frame_ns)
                else "neither command nor setpoint has come: is policy_node running, and do images arrive (both ends "
                "need the same transport settings, see 'fetch-sim2real doctor')?"
            )
            return f"lockstep: {waited_s:.1f} s after the frame of {self._frame_ns} ns {missing}"
        return (
            f"lockstep: the driver has sent {tuple(self._answer[1])} trajectories to arm and gripper, and number "
            f"{tuple(self._received)} were the last to arrive within {waited_s:.1f} s"
        )
