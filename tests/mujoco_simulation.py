"""What tests look at or change in a simulation whose engine is MuJoCo."""

from __future__ import annotations

from fetch_sim2real.sim.mujoco.engine import MujocoEngine
from fetch_sim2real.sim.simulation import Simulation


def mujoco_of(sim: Simulation) -> MujocoEngine:
    """Return the engine of ``sim``, with its model and data."""
    assert isinstance(sim.engine, MujocoEngine)
    return sim.engine
