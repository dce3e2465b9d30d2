"""Joint commands through the safety filter to the robot. The single owner of the arm's commanded state."""

import node_support  # noqa: F401  before ROS: it says what keeps that from being loaded
