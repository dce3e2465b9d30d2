"""The arm: its description as data, kinematics, collision checks, MuJoCo model."""
