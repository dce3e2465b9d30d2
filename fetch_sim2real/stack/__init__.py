"""The processes of the graph: what they are, how they are started, the environment that they need. Needs no ROS."""
