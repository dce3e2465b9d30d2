"""Results of running a policy: their statistics, their form in a file, and how they are shown."""
