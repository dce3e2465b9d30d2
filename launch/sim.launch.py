"""The whole stack with a simulated robot and camera. ``--show-args`` lists the arguments.

    ros2 launch fetch_sim2real sim.launch.py world:=randomized lockstep:=false

The graph waits for an operator: ``fetch-sim2real sim --attach`` runs episodes in it.
"""

from __future__ import annotations

from fetch_sim2real.ros.launching import launch_description
from fetch_sim2real.stack.options import SimGraphOptions
from fetch_sim2real.stack.processes import sim_graph
from launch import LaunchDescription


def generate_launch_description() -> LaunchDescription:
    """Simulation, policy and driver."""
    return launch_description(
        SimGraphOptions,
        sim_graph,
        "This graph waits for an operator. In another terminal: fetch-sim2real sim --attach --episodes 5",
    )
