"""Real time: the world runs against the wall clock, at a chosen pace, and waits for nobody."""

from __future__ import annotations

import time
from typing import Final

from fetch_sim2real.messages.motion import SentCounts
from fetch_sim2real.timing import JOINT_STATE_EVERY_STEPS, PHYSICS_STEP_S
from sim_bridge.cell import Cell

# A machine that falls further behind makes the world slower; it does not skip, and it does not race afterwards.
_MAX_LAG_S: Final = 0.05


class RealTime:
    """Paces a cell by the steady clock, on absolute deadlines; ``factor`` of its seconds take one of the clock's."""

    def __init__(self, cell: Cell, factor: float) -> None:
        self._cell = cell
        self._step_s = PHYSICS_STEP_S / factor
        self._start_s = 0.0
        self._start_step = 0
        self.lost_s = 0.0

    def start(self) -> None:
        """Time begins to run."""
        self._start_s, self._start_step = time.monotonic(), self._cell.sim.step

    def on_tick(self, stamp_ns: int) -> None:
        """Nobody is waited for."""

    def on_trajectory(self, group: int, number: int) -> None:
        """Nobody is waited for."""

    def on_activation(self, sent: SentCounts) -> None:
        """Nobody is waited for."""

    def on_setpoint(self, stamp_ns: int, sent: SentCounts) -> None:
        """Nobody is waited for."""

    def resume(self) -> None:
        """Nobody is waited for."""

    @property
    def is_over(self) -> bool:
        """The episode's time has run out."""
        return self._cell.sim.done

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
        sim = self._cell.sim
        boundary = sim.step - sim.step % JOINT_STATE_EVERY_STEPS + JOINT_STATE_EVERY_STEPS
        return min(boundary, sim.next_publication_step())

    def _deadline_s(self, step: int) -> float:
        return self._start_s + (step - self._start_step) * self._step_s

    def _run_to(self, step: int) -> None:
        sim = self._cell.sim
        if step > sim.step:
            self._cell.run_to(step)
        if not sim.done and sim.step == sim.next_publication_step():
            self._cell.publish_due_goal()
            self._cell.publish_frame()
