"""Starts the processes of the graph without ``ros2 launch``: the same table, the same parameters, plain Python."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import yaml

from fetch_sim2real.common.supervision import Child, Patience, Supervisor
from fetch_sim2real.stack.processes import NodeProcess
from fetch_sim2real.stack.ros_arguments import NO_LOG_FILES, START
from fetch_sim2real.stack.ros_environment import require_ros_environment

# So that a log holds a crashed process' last words, and where it was.
_DIAGNOSABLE: Final = {"PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1"}


def launch(
    processes: Sequence[NodeProcess],
    log_dir: Path,
    patience: Patience | None = None,
    hurry: Callable[[], bool] = lambda: False,
) -> Supervisor:
    """Return a supervisor for ``processes``; nothing runs before it is entered.

    ``log_dir`` is created; it receives each node's parameters (``<node>.yaml``) and its output (``<node>.log``).
    Raises ``SetupError`` where the environment keeps ROS from working.
    ``hurry``: see ``Supervisor``.
    """
    require_ros_environment(os.environ)
    log_dir.mkdir(parents=True, exist_ok=True)
    children = [child_of(process, write_parameters(process, log_dir)) for process in processes]
    return Supervisor(children, log_dir, patience or Patience(), hurry)


def write_parameters(process: NodeProcess, folder: Path) -> Path:
    """Write the node's parameter file, which ``ros2 run`` takes too, and return its path."""
    path = folder.absolute() / f"{process.node_name}.yaml"
    place = f"/{process.namespace.strip('/')}/" if process.namespace else ""
    content = {f"{place}{process.node_name}": {"ros__parameters": dict(process.parameters)}}
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path


def child_of(process: NodeProcess, parameter_file: Path) -> Child:
    """Return how one process of the graph is run by this interpreter."""
    command = [sys.executable, "-m", process.module, START, "-r", f"__node:={process.node_name}"]
    if process.namespace:
        command += ["-r", f"__ns:=/{process.namespace.strip('/')}"]
    for source, target in process.remappings:
        command += ["-r", f"{source}:={target}"]
    command += ["--params-file", str(parameter_file)]
    if process.parameter_file:
        command += ["--params-file", process.parameter_file]
    # Its output is kept here already; ROS would write a second copy into ~/.ros/log.
    command += [NO_LOG_FILES]
    environment = {**_DIAGNOSABLE, **process.environment}
    return Child(process.node_name, command, environment, process.stop_rank, process.required)
