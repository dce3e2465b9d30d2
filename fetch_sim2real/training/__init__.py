"""Training of the shipped actors; not needed on a robot."""
