"""What the ROS nodes share: their main loop, parameters, topics and diagnostics, and messages to arrays and back."""
