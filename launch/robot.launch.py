"""The stack on a robot: camera, policy, driver. ``--show-args`` lists the arguments.

    ros2 launch fetch_sim2real robot.launch.py policy:=push world:=my_lab.yaml               # nothing moves: a shadow
    ros2 launch fetch_sim2real robot.launch.py policy:=push world:=my_lab.yaml mode:=live
    ros2 launch fetch_sim2real robot.launch.py policy:=push camera:=sim                      # the same, simulated

Read docs/robot.md first. The driver starts disabled: it waits for ``fetch-sim2real operate``, or for a call of
``/arm_driver/enable`` while somebody says on ``/arm_driver/heartbeat`` that they are there.
"""

from __future__ import annotations

from fetch_sim2real.ros.launching import launch_description
from fetch_sim2real.stack.options import RobotGraphOptions
from fetch_sim2real.stack.processes import robot_graph
from launch import LaunchDescription


def generate_launch_description() -> LaunchDescription:
    """Camera, policy and driver, or the simulation in place of robot and camera."""
    return launch_description(
        RobotGraphOptions,
        robot_graph,
        "This graph waits for an operator. In another terminal: fetch-sim2real operate, in shadow with --mode shadow",
    )
