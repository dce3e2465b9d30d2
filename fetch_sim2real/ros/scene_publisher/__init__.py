"""ROS node that publishes the robot's description, frames and markers, for RViz and Foxglove."""

import fetch_sim2real.ros  # noqa: F401  before ROS: it says what keeps that from being loaded
