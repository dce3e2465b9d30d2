"""Joint commands through the safety filter to the robot. The single owner of the arm's commanded state."""

import fetch_sim2real.ros  # noqa: F401  before ROS: it says what keeps that from being loaded
