"""ROS node that plays the observations of a bag to a policy, in the place of camera, robot, operator and driver."""

import fetch_sim2real.ros  # noqa: F401  before ROS: it says what keeps that from being loaded
