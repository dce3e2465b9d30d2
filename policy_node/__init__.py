"""Pairs RGB-D frames with joint states, runs the actor, and publishes a joint command for every frame."""

import fetch_sim2real.ros  # noqa: F401  before ROS: it says what keeps that from being loaded
