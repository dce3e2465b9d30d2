"""Measurements of the whole simulated graph; ``python -m benchmarks`` (or ``make bench``) runs them all."""
