"""Graphs and drivers with something around them that moves, fails and can be asked: for tests and benchmarks."""
