"""The whole stack with a simulated robot and camera. ``--show-args`` lists the arguments.

    ros2 launch fetch_sim2real sim.launch.py world:=randomized lockstep:=false

The graph waits for an operator: ``fetch-sim2real sim --attach`` runs episodes in it.
"""

from __future__ import annotations

from launch.actions import DeclareLaunchArgument, EmitEvent, OpaqueFunction, SetEnvironmentVariable
from launch.events import Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from fetch_sim2real import processes
from launch import LaunchContext, LaunchDescription


def generate_launch_description() -> LaunchDescription:
    """Declared arguments, then the transport that carries images, then the processes."""
    declared = []
    for argument in processes.sim_arguments():
        choices = {"choices": list(argument.choices)} if argument.choices else {}
        declared.append(
            DeclareLaunchArgument(
                argument.name, default_value=argument.default, description=argument.description, **choices
            )
        )
    environment = [SetEnvironmentVariable(name, value) for name, value in processes.ENVIRONMENT.items()]
    return LaunchDescription([*declared, *environment, OpaqueFunction(function=start_nodes)])


def start_nodes(context: LaunchContext) -> list[Node]:
    """One ``Node`` for each process; the end of a required one brings the others down."""
    values = {a.name: LaunchConfiguration(a.name).perform(context) for a in processes.sim_arguments()}
    return [make_node(process) for process in processes.sim_graph(processes.options_from_arguments(values))]


def make_node(process: processes.NodeProcess) -> Node:
    """The launch action of one process."""
    on_exit = EmitEvent(event=Shutdown(reason=f"{process.node_name} ended")) if process.required else None
    return Node(
        package=processes.ROS_PACKAGE,
        executable=process.executable,
        name=process.node_name,
        # Typed: launch_ros would read a text like '12' or '{}' as YAML.
        parameters=[{name: ParameterValue(v, value_type=type(v)) for name, v in process.parameters.items()}],
        additional_env=dict(process.environment),
        output="screen",
        emulate_tty=True,
        on_exit=on_exit,
    )
