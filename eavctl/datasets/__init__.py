"""Where recordings lie and what they are called: layouts, and synthetic data."""
