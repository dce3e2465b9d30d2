"""A RealSense camera behind the topics that the policy reads."""

import node_support  # noqa: F401  before ROS: it says what keeps that from being loaded
