"""Drake behind the simulation: plant, contact, pictures."""
