"""What a recorded bag holds, what is missing from it, and what a policy makes of it. Needs no ROS."""
