"""MuJoCo behind the topics of the robot and the camera."""
