"""The tasks: what has to be where."""
