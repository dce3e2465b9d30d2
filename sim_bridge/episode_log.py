"""What is measured during an episode, by the wall clock, and the episode's result as JSON."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from dataclasses import dataclass

import numpy as np

from fetch_sim2real.messages.motion import SetpointReport
from fetch_sim2real.sim.simulation import Outcome


@dataclass
class _Sent:
    published_s: float
    render_s: float
    commanded: bool = False
    answered: bool = False


class EpisodeLog:
    """Latencies, answers and the driver's decisions of one episode."""

    def __init__(self, episode: int, first_ns: int) -> None:
        self.episode = episode
        self._first_ns = first_ns
        self._frames: dict[int, _Sent] = {}
        self._frame_to_command_ms: list[float] = []
        self._total_ms: list[float] = []
        self._render_ms: list[float] = []
        self._decisions: Counter[str] = Counter()
        self._trace = hashlib.sha256()
        self.republished = 0
        self.missed = 0

    def frame(self, stamp_ns: int, render_s: float) -> None:
        """Note that a frame is about to be published."""
        # Only the newest can still be answered in time.
        self.missed += sum(not sent.commanded for sent in self._frames.values())
        self._frames = {stamp_ns: _Sent(time.perf_counter(), render_s)}
        self._render_ms.append(render_s * 1e3)

    def command(self, stamp_ns: int) -> None:
        """Note that the policy's command for the frame of this stamp has arrived."""
        sent = self._frames.get(stamp_ns)
        if sent is not None and not sent.commanded:
            sent.commanded = True
            self._frame_to_command_ms.append((time.perf_counter() - sent.published_s) * 1e3)

    def is_commanded(self, stamp_ns: int) -> bool:
        """Return whether a command for the frame of this stamp has arrived."""
        sent = self._frames.get(stamp_ns)
        return sent is not None and sent.commanded

    def report(self, report: SetpointReport) -> None:
        """Note that the driver's answer for a frame has arrived."""
        stamp_ns, setpoint = report.stamp_ns, report.setpoint
        sent = self._frames.get(stamp_ns)
        if sent is None or sent.answered:
            return
        # Messages of two nodes may overtake each other: an answer proves that there was a command.
        self.command(stamp_ns)
        sent.answered = True
        # Rendering ran ahead, by up to the camera's simulated latency: its cost counts, its head start does not.
        self._total_ms.append((time.perf_counter() - sent.published_s + sent.render_s) * 1e3)
        self._decisions[report.outcome] += 1
        self._trace.update(np.int64(stamp_ns - self._first_ns).tobytes())
        self._trace.update(report.outcome.encode())
        if setpoint is not None:
            self._trace.update(setpoint.position.tobytes() + setpoint.velocity.tobytes())

    def result(self, outcome: Outcome, realtime_factor: float) -> str:
        """Return the JSON for the outcome topic.

        ``decisions`` counts the driver's answers; ``setpoints_sha256`` identifies the whole commanded motion.
        """
        return json.dumps(
            {
                "episode": self.episode,
                "seed": outcome.seed,
                "success": outcome.success,
                "final_distance_m": outcome.final_distance_m,
                "steps": outcome.steps,
                "frame_to_command_ms": _rounded(self._frame_to_command_ms),
                "total_ms": _rounded(self._total_ms),
                "render_ms": _rounded(self._render_ms),
                "missed": self.missed + sum(not sent.commanded for sent in self._frames.values()),
                "republished": self.republished,
                "decisions": dict(self._decisions),
                "setpoints_sha256": self._trace.hexdigest(),
                "realtime_factor": realtime_factor,
            }
        )


def _rounded(values: list[float]) -> list[float]:
    return [round(value, 3) for value in values]
