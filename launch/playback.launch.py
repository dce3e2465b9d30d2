"""Plays a bag back to a policy: what would it do? No driver, no robot. ``--show-args`` lists the arguments.

    ros2 launch fetch_sim2real playback.launch.py bag:=runs/20260101-120000 policy:=push
    ros2 launch fetch_sim2real playback.launch.py bag:=bags/shadow policy:=out/mine record:=bags/mine rate:=0.5

See docs/bags.md.
"""

from __future__ import annotations

from fetch_sim2real.ros.launching import launch_description
from fetch_sim2real.stack.options import PlaybackOptions
from fetch_sim2real.stack.processes import playback_graph
from launch import LaunchDescription


def generate_launch_description() -> LaunchDescription:
    """Policy and bag player, with a recorder if one is asked for."""
    return launch_description(PlaybackOptions, playback_graph)
