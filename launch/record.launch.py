"""Records a graph that runs already, into an MCAP bag. ``--show-args`` lists the arguments.

    ros2 launch fetch_sim2real record.launch.py output:=bags/first_run
"""

from __future__ import annotations

from fetch_sim2real.ros.launching import launch_description
from fetch_sim2real.stack.launch_arguments import arguments_of, options_of
from fetch_sim2real.stack.robot_processes import RECORD_MEANINGS, RecordOptions, record_graph
from launch import LaunchDescription


def generate_launch_description() -> LaunchDescription:
    """The recorder alone."""
    return launch_description(
        arguments_of(RecordOptions, RECORD_MEANINGS),
        lambda values: record_graph(options_of(RecordOptions, RECORD_MEANINGS, values)),
    )
