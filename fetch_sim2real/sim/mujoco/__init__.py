"""MuJoCo behind the simulation: model, state, pictures."""
