"""Joint commands through the safety filter to the robot. The single owner of the arm's commanded state."""
