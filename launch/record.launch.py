"""Records a graph that runs already, into an MCAP bag. ``--show-args`` lists the arguments.

    ros2 launch fetch_sim2real record.launch.py output:=bags/first_run
"""

from __future__ import annotations

from fetch_sim2real.ros.launching import launch_description
from fetch_sim2real.stack.options import RecordOptions
from fetch_sim2real.stack.processes import record_graph
from launch import LaunchDescription


def generate_launch_description() -> LaunchDescription:
    """The recorder alone."""
    return launch_description(RecordOptions, record_graph)
