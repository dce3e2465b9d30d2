"""The fingers' part of the safety filter: which gripper goals are sent, and when."""

from __future__ import annotations

import math

from fetch_sim2real.control.checks import FilterSettings


class FingerGoals:
    """Takes what is wanted of the fingers, and gives what is to be sent.

    A goal that opens fingers that were closing waits if they were opened that way too short a time ago, and a newer one
    takes its place. Closing never waits: an opening that was meant for a moment only must not cost what the fingers
    hold.
    """

    def __init__(self, settings: FilterSettings, finger_max_m: float) -> None:
        """``finger_max_m``: how far a finger opens, 0 for an arm without a gripper."""
        self._settings, self._finger_max_m = settings, finger_max_m
        self.start(math.nan)

    def start(self, measured_m: float) -> None:
        """Begin anew with each finger at ``measured_m``, NaN if that is not known; the next goal is sent at once."""
        self._measured_m = measured_m
        self._wanted_m: float | None = None
        self._sent_m: float | None = None
        self._is_closing = True
        self._opened_ns: int | None = None

    def want(self, position_m: float | None) -> None:
        """Want each finger at ``position_m``, cut to what there is; None: as it was wanted before."""
        if position_m is not None and self._finger_max_m:
            self._wanted_m = min(max(position_m, 0.0), self._finger_max_m)

    def take_due(self, now_ns: int) -> float | None:
        """Return the position [m] to send now; None if the last one sent still holds, or if the next has to wait."""
        wanted_m, sent_m = self._wanted_m, self._sent_m
        # Fingers that stall on an object keep their grasp: the same goal is not sent again.
        if wanted_m is None or (sent_m is not None and abs(wanted_m - sent_m) <= self._settings.finger_dead_band_m):
            return None
        before_m = self._measured_m if sent_m is None else sent_m
        is_closing = wanted_m < before_m
        if self._is_closing and not is_closing:
            if self._opened_ns is not None and now_ns - self._opened_ns < self._settings.finger_reopen_s * 1e9:
                return None
            self._opened_ns = now_ns
        self._is_closing, self._sent_m = is_closing, wanted_m
        return wanted_m
