"""The one way into ROS, for nodes and commands: what is wrong with the environment is said in one line."""

from __future__ import annotations

import os
from collections.abc import Sequence

import rclpy
from rclpy.context import Context
from rclpy.signals import SignalHandlerOptions

from fetch_sim2real.errors import SetupError
from fetch_sim2real.stack.processes import ENVIRONMENT
from fetch_sim2real.stack.ros_arguments import NO_LOG_FILES
from fetch_sim2real.stack.ros_environment import require_ros_environment


def enter_ros(arguments: Sequence[str], context: Context | None = None) -> None:
    """Initialize rclpy with ``arguments``; signals are left to the program.

    Raises ``SetupError`` where the environment or the machine does not let it.
    """
    # Read when the first participant is made; images need it on both ends.
    os.environ.update(ENVIRONMENT)
    require_ros_environment(os.environ, writes_logs=NO_LOG_FILES not in arguments)
    try:
        # rclpy's own handlers end the context under a running executor.
        rclpy.init(args=list(arguments), context=context, signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:  # RCLError has no public name
        raise SetupError(f"ROS does not start: {' '.join(str(error).split())}") from None
