"""What the ROS nodes share: their main loop, parameters, topics and diagnostics, and messages to arrays and back."""

from __future__ import annotations

import os
import sys

from fetch_sim2real.errors import SetupError
from fetch_sim2real.stack.ros_environment import require_importable

# ROS itself ends the process as rclpy is imported, without a word on what to do. Here it ends in time to say it.
try:
    require_importable(os.environ)
except SetupError as _error:
    sys.exit(f"error: {_error}")
