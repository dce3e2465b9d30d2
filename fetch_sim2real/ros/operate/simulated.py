"""The simulated world as the operator meets it: somebody has to put the block back, and let time run."""

from __future__ import annotations

from fetch_sim2real import graph
from fetch_sim2real.ros.node_parameters import set_parameters
from fetch_sim2real.ros.operate.link import RobotLink

# Long enough for an afternoon at the terminal: when an episode is over, the world stands still.
LONG_EPISODE_S = 36_000.0


class SimulatedWorld:
    """Starts of the simulated world, one seed after the other."""

    def __init__(self, link: RobotLink, seed: int) -> None:
        self._link = link
        self.seed = seed

    def begin(self) -> None:
        """Put arm and object at the start of ``seed`` and let time run; the next one begins with the next seed."""
        set_parameters(self._link.session, graph.SIM_BRIDGE, {"seed": self.seed})
        self._link.demand(graph.SIM_RESET)
        self._link.demand(graph.SIM_RESUME)
        self.seed += 1
        # Until joint states and frames of the new time are what is heard.
        self._link.session.spin(0.5)
