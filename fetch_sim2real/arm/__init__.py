"""The Fetch arm: names, limits, model, kinematics."""
