"""Attendance: whether those who enabled the arm are still there. Knows nothing of ROS.

Time is the steady clock's, whatever clock the robot has: people are not simulated.
"""

from __future__ import annotations

import os
from typing import Final

from fetch_sim2real import graph
from fetch_sim2real.stack.heartbeat import HEARTBEAT_TIMEOUT_S, LAUNCH, OFF

_KEPT: Final = 16  # senders; nobody fills the memory by inventing names
_NAME_LENGTH: Final = 80
_TIMEOUT_NS: Final = round(HEARTBEAT_TIMEOUT_S * 1e9)


class Attendance:
    """Heartbeats by sender. Those who beat when the driver is enabled have to go on until it is disabled."""

    def __init__(self, heartbeat: str, *, is_live: bool, is_simulated: bool, is_lockstep: bool) -> None:
        """``heartbeat`` is one of ``HEARTBEATS``.

        A shadow moves nothing, and in lockstep no wall clock may decide anything: nobody has to be there. In a
        simulation in real time nobody has to, but who beats is watched.
        """
        self._is_watched = is_live and not is_lockstep and heartbeat != OFF
        self._is_required = self._is_watched and not is_simulated and heartbeat != LAUNCH
        self._parent = os.getppid() if self._is_watched and heartbeat == LAUNCH else None
        self._heard_ns: dict[str, int] = {}
        self._needed: frozenset[str] = frozenset()
        if not is_live:
            self._reason = "not needed: a shadow moves nothing"
        elif heartbeat == OFF:
            self._reason = "switched off"
        elif is_lockstep:
            self._reason = "not needed: the simulation waits for everybody"
        else:
            self._reason = "not needed in simulation" if is_simulated else "none"

    def on_beat(self, sender: str, now_ns: int) -> None:
        """Note that ``sender`` says that it is there."""
        if not self._is_watched:
            return
        name = sender[:_NAME_LENGTH]
        if name not in self._heard_ns and len(self._heard_ns) >= _KEPT:
            spare = self._heard_ns.keys() - self._needed
            if not spare:
                return
            del self._heard_ns[min(spare, key=self._heard_ns.__getitem__)]
        self._heard_ns[name] = now_ns

    def refusal(self, now_ns: int) -> str:
        """Return why the driver must not be enabled; empty if somebody is there or need not be."""
        if gone := self._gone_parent():
            return gone
        if self._is_required and not self._present(now_ns):
            return (
                f"nobody sends a heartbeat on {graph.HEARTBEAT.name}, and whoever enables has to be there while the "
                "arm moves: use fetch-sim2real operate, run fetch-sim2real operate heartbeat in your terminal or "
                "script, or start the driver with heartbeat:=launch or heartbeat:=off"
            )
        return ""

    def begin(self, now_ns: int) -> None:
        """Note that the driver is enabled: all that are there now have to stay."""
        self._needed = self._present(now_ns)

    def complaint(self, now_ns: int) -> str:
        """Return who has gone since ``begin``; empty if nobody has."""
        for name in sorted(self._needed):
            silence_ns = now_ns - self._heard_ns[name]
            if silence_ns > _TIMEOUT_NS:
                return (
                    f"heartbeat_lost: {name}, who was there when the driver was enabled, has been silent for "
                    f"{silence_ns * 1e-9:.2f} s, allowed {HEARTBEAT_TIMEOUT_S} s"
                )
        return self._gone_parent()

    def words(self, now_ns: int) -> str:
        """Return for /diagnostics who is there, or why nobody has to be."""
        there = sorted(self._present(now_ns))
        if self._parent is not None:
            there.append(f"process {self._parent}, which started the driver")
        return ", ".join(there) or self._reason

    def _present(self, now_ns: int) -> frozenset[str]:
        return frozenset(name for name, heard_ns in self._heard_ns.items() if now_ns - heard_ns <= _TIMEOUT_NS)

    def _gone_parent(self) -> str:
        if self._parent is not None and os.getppid() != self._parent:
            return f"heartbeat_lost: process {self._parent}, which started the driver, has ended: start it anew"
        return ""
