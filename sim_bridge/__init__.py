"""MuJoCo behind the topics of the robot and the camera."""

import node_support  # noqa: F401  before ROS: it says what keeps that from being loaded
