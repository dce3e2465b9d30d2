"""What sensors make of the simulated truth, and when."""
