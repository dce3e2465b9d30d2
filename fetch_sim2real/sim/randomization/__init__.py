"""What varies from episode to episode, and how it is drawn."""
