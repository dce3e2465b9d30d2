"""A RealSense camera behind the topics that the policy reads."""

import fetch_sim2real.ros  # noqa: F401  before ROS: it says what keeps that from being loaded
