"""Latency randomization: a share of training episodes has delays on top of the world's, another a moved object.

An actor that was trained with its world's own delays alone overshoots where everything comes later: through another
robot's bridge, or from a camera on a busy machine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fetch_sim2real.sim.disturbances.conditions import Conditions, Faults


@dataclass(frozen=True)
class LatencyRandomization:
    """Shares of episodes whose object is moved, and whose pictures and commands are late, and the largest delays.

    Delays are uniform between 0 and the largest, and are added to the world's own.
    """

    moved_share: float = 0.0
    late_share: float = 0.5
    camera_late_ms: float = 90.0
    command_late_ms: float = 40.0

    @property
    def latest_camera_s(self) -> float:
        """Largest delay [s] of pictures on top of the world's."""
        return self.camera_late_ms * 1e-3 if self.late_share else 0.0

    @property
    def latest_command_s(self) -> float:
        """Largest delay [s] of commands on top of the world's."""
        return self.command_late_ms * 1e-3 if self.late_share else 0.0

    def draw(self, rng: np.random.Generator) -> Conditions:
        """Return the conditions of one episode, drawn by ``rng``."""
        moved, late = rng.random(2) < (self.moved_share, self.late_share)
        camera_ms, command_ms = rng.random(2) * (self.camera_late_ms, self.command_late_ms)
        faults = Faults(extra_latency_ms=camera_ms, command_latency_ms=command_ms) if late else Faults()
        return Conditions(perturb=("move_block",) if moved else (), faults=faults)


NO_ADDED_LATENCY = LatencyRandomization(late_share=0.0)
