"""Results and runs as pictures and pages."""
