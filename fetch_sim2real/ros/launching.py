"""What the launch files are made with. The only module here that needs ROS's ``launch`` and ``launch_ros``.

A launch file is its arguments, from dataclasses of options, and the processes that follow from them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TypeVar

from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    IncludeLaunchDescription,
    LogInfo,
    OpaqueFunction,
    SetEnvironmentVariable,
)
from launch.events import Shutdown, matches_action
from launch.events.process import ProcessExited, ShutdownProcess
from launch.launch_context import LaunchContext
from launch.launch_description import LaunchDescription
from launch.substitutions import LaunchConfiguration
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterFile, ParameterValue

from fetch_sim2real.common.option import arguments_of, options_of, unknown_names
from fetch_sim2real.errors import GraphError
from fetch_sim2real.stack import processes
from fetch_sim2real.stack.options import PlacementOptions
from fetch_sim2real.stack.processes import NodeProcess, placed

Options = TypeVar("Options")


def launch_description(
    options: type[Options], make: Callable[[Options], Sequence[NodeProcess]], next_step: str = ""
) -> LaunchDescription:
    """Return declared arguments, one for each of ``options``, the transport that carries images, ``make``'s processes.

    ``next_step`` tells the person at the terminal what the graph waits for.
    """
    every = (*arguments_of(options), *arguments_of(PlacementOptions))
    declared = []
    for argument in every:
        choices = {"choices": list(argument.choices)} if argument.choices else {}
        declared.append(
            DeclareLaunchArgument(
                argument.name, default_value=argument.default, description=argument.description, **choices
            )
        )

    def start(context: LaunchContext) -> list[LogInfo | Node]:
        words = [
            f"'{name}' is no argument of this launch file and has no effect here: --show-args lists all"
            for name in unknown_names(_given_names(context), every)
        ]
        words += [next_step] if next_step else []
        values = {argument.name: LaunchConfiguration(argument.name).perform(context) for argument in every}
        nodes = start_nodes(placed(make(options_of(options, values)), options_of(PlacementOptions, values)))
        return [*(LogInfo(msg=word) for word in words), *nodes]

    environment = [SetEnvironmentVariable(name, value) for name, value in processes.ENVIRONMENT.items()]
    return LaunchDescription([*declared, *environment, OpaqueFunction(function=start)])


def _given_names(context: LaunchContext) -> list[str]:
    """Names of the arguments that this launch file was given, on the command line or by a file that includes it.

    The context does not tell: it holds whatever any file of the whole launch has declared. The action that includes
    this file does, `ros2 launch`'s own among them; launch visits what it includes from within it, so it is one of the
    callers. Without one nobody gave anything.
    """
    frame = inspect.currentframe()
    while frame is not None:
        for value in frame.f_locals.values():
            if isinstance(value, IncludeLaunchDescription):
                names = (normalize_to_list_of_substitutions(name) for name, _ in value.launch_arguments)
                return [perform_substitutions(context, name) for name in names]
        frame = frame.f_back
    return []


def start_nodes(table: Sequence[NodeProcess]) -> list[Node]:
    """Return one ``Node`` for each process; the end of a required one brings the others down in order."""
    order = Teardown(table)
    nodes = {process.node_name: make_node(process, order.on_exit(process)) for process in table}
    order.nodes.update(nodes)
    return list(nodes.values())


def make_node(process: NodeProcess, on_exit: Callable[..., list[EmitEvent]]) -> Node:
    """Return the launch action of one process."""
    # Typed: launch_ros would read a text like '12' or '{}' as YAML.
    typed = {name: ParameterValue(value, value_type=type(value)) for name, value in process.parameters.items()}
    files = [ParameterFile(process.parameter_file, allow_substs=False)] if process.parameter_file else []
    return Node(
        package=processes.ROS_PACKAGE,
        executable=process.executable,
        name=process.node_name,
        namespace=process.namespace or None,
        parameters=[typed, *files],
        remappings=list(process.remappings),
        additional_env=dict(process.environment),
        output="screen",
        emulate_tty=True,
        on_exit=on_exit,
    )


class Teardown:
    """Ends processes in ascending ``stop_rank``, the next rank when the one before is gone; then the launch itself.

    launch's own ``Shutdown`` ends all at once: the driver would go while commands still come. It also knows no failure:
    `ros2 launch` has an exit status other than 0 only after an exception, so that is how a launch ends in which a
    required process failed.
    """

    def __init__(self, table: Sequence[NodeProcess]) -> None:
        self.nodes: dict[str, Node] = {}
        self._running = {process.node_name: process for process in table}
        self._reason = ""
        self._failed = False
        self._asked: set[str] = set()

    def on_exit(self, process: NodeProcess) -> Callable[..., list[EmitEvent]]:
        """Return the handler for the end of ``process``."""

        def ended(event: ProcessExited, context: LaunchContext) -> list[EmitEvent]:
            self._running.pop(process.node_name, None)
            if process.required and not self._reason:
                self._failed = event.returncode != 0
                self._reason = f"{process.node_name} ended"
                if self._failed:
                    self._reason += f" with exit status {event.returncode}"
            return self._next() if self._reason and not context.is_shutdown else []

        return ended

    def _next(self) -> list[EmitEvent]:
        if not self._running and self._failed:
            raise GraphError(f"{self._reason}: see what it said above")
        if not self._running:
            return [EmitEvent(event=Shutdown(reason=self._reason))]
        rank = min(process.stop_rank for process in self._running.values())
        names = [name for name, process in self._running.items() if process.stop_rank == rank]
        fresh = [name for name in names if name not in self._asked]
        self._asked.update(fresh)
        return [EmitEvent(event=ShutdownProcess(process_matcher=matches_action(self.nodes[name]))) for name in fresh]
