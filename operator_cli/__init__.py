"""The operator: the commands of ``fetch-sim2real`` that start or look at a graph, and what they need for it."""
