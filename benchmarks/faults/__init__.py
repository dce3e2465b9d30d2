"""What happens to a moving arm when a part of the graph fails: how soon it brakes, and what brings it back."""
