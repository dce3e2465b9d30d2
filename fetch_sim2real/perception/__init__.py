"""From an RGB-D frame, joints and a goal to what the actor sees. The same code in training, simulation and robot."""
