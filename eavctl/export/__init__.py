"""From models to files that other programs read."""
