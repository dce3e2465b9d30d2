"""The safety filter: limits, braking tails, command checks and the driver's states. Pure Python, time passed in."""
