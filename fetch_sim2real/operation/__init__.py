"""What an operator has to know before, during and after a run on a robot. Knows nothing of ROS."""
