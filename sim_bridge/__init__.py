"""MuJoCo behind the topics of the robot and the camera."""

import fetch_sim2real.ros  # noqa: F401  before ROS: it says what keeps that from being loaded
