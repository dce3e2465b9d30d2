"""ROS node that writes every topic of the graph's contract to an MCAP bag."""

import node_support  # noqa: F401  before ROS: it says what keeps that from being loaded
