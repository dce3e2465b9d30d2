"""The Fetch: joints, limits, shapes."""
