"""The actor, the bundle it travels in, and the step from its action to a joint command."""
