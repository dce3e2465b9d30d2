"""The former name of ``playback.launch.py``, with the same arguments."""

from __future__ import annotations

from fetch_sim2real.ros.launching import launch_description
from fetch_sim2real.stack.options import PlaybackOptions
from fetch_sim2real.stack.processes import playback_graph
from launch import LaunchDescription


def generate_launch_description() -> LaunchDescription:
    """Policy and bag player, and a word about the name."""
    return launch_description(
        PlaybackOptions, playback_graph, "replay.launch.py is deprecated: call playback.launch.py, which is the same"
    )
