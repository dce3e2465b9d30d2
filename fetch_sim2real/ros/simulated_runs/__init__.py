"""Rows of episodes and suites in simulated graphs."""
