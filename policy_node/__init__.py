"""Pairs RGB-D frames with joint states, runs the actor, and publishes a joint command for every frame."""
