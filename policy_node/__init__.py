"""Pairs RGB-D frames with joint states, runs the actor, and publishes a joint command for every frame."""

import node_support  # noqa: F401  before ROS: it says what keeps that from being loaded
