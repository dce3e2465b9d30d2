"""The simulated robot, camera and table that stand in for the real ones."""
