"""ROS node that plays the observations of a bag to a policy, in the place of camera, robot, operator and driver."""
