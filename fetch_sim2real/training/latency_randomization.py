"""What makes episodes of training harder than their world: changes and delays, in a share of them.

An actor that has only met its world's own delays overshoots where everything comes later: through another robot's
bridge, or from a camera on a busy machine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fetch_sim2real.sim.disturbances.conditions import Conditions, Faults


@dataclass(frozen=True)
class Practice:
    """Shares of episodes whose object is moved and whose pictures and commands are late, and by how much at most.

    Late ones are so by uniform draws from 0 on, on top of the world's own delays.
    """

    moved_share: float = 0.0
    late_share: float = 0.5
    camera_late_ms: float = 90.0
    command_late_ms: float = 40.0

    @property
    def latest_camera_s(self) -> float:
        """How much later [s] than in the world pictures may be."""
        return self.camera_late_ms * 1e-3 if self.late_share else 0.0

    @property
    def latest_command_s(self) -> float:
        """The same of commands."""
        return self.command_late_ms * 1e-3 if self.late_share else 0.0

    def draw(self, rng: np.random.Generator) -> Conditions:
        """The conditions of an episode."""
        moved, late = rng.random(2) < (self.moved_share, self.late_share)
        camera_ms, command_ms = rng.random(2) * (self.camera_late_ms, self.command_late_ms)
        faults = Faults(extra_latency_ms=camera_ms, command_latency_ms=command_ms) if late else Faults()
        return Conditions(perturb=("move_block",) if moved else (), faults=faults)


AS_THE_WORLD_IS = Practice(late_share=0.0)
