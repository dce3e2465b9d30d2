"""ROS node that writes every topic of the graph's contract to an MCAP bag."""

import fetch_sim2real.ros  # noqa: F401  before ROS: it says what keeps that from being loaded
