"""ROS node that writes every topic of the graph's contract to an MCAP bag."""
