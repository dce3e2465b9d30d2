"""Plays a bag to a policy: what would it do? No driver, no robot. ``--show-args`` lists the arguments.

    ros2 launch fetch_sim2real replay.launch.py bag:=runs/20260101-120000 policy:=push
    ros2 launch fetch_sim2real replay.launch.py bag:=bags/shadow policy:=out/mine record:=bags/mine rate:=0.5

See docs/bags.md.
"""

from __future__ import annotations

from fetch_sim2real.ros.launching import launch_description
from fetch_sim2real.stack.launch_arguments import arguments_of, options_of
from fetch_sim2real.stack.playback_processes import REPLAY_MEANINGS, ReplayOptions, replay_graph
from launch import LaunchDescription


def generate_launch_description() -> LaunchDescription:
    """Policy and bag player, with a recorder if one is asked for."""
    return launch_description(
        arguments_of(ReplayOptions, REPLAY_MEANINGS),
        lambda values: replay_graph(options_of(ReplayOptions, REPLAY_MEANINGS, values)),
    )
