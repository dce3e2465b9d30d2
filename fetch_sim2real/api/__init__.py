"""What ``import fetch_sim2real`` offers: policies on raw camera data, and episodes, for use from Python without ROS."""
