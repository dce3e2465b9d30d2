"""The simulated world as an arm that an action server moves."""

from __future__ import annotations

from fetch_sim2real.sim.simulation import Simulation
from fetch_sim2real.types import FloatArray, JointTrajectory


class SimulatedArm:
    """See fetch_actions.Arm. The delays of the way here are the network's and the action server's, not the world's."""

    def __init__(self, sim: Simulation) -> None:
        self._sim = sim

    def start(self, trajectory: JointTrajectory, from_measured: bool) -> None:
        """See Arm."""
        self._sim.start_arm(trajectory, from_measured)

    def hold(self) -> None:
        """See Arm."""
        self._sim.hold_arm()

    def error_rad(self) -> FloatArray:
        """See Arm."""
        return self._sim.arm_error_rad()
