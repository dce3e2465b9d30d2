"""Unplanned changes in the middle of an episode."""
