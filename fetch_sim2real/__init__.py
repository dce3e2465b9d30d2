"""Core of fetch_sim2real: plain Python (numpy, torch, mujoco), importable without ROS."""

__version__ = "0.1.0"
