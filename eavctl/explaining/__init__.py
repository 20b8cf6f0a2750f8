"""What a model relies on: families of columns, windows in time, bands, channels, and patterns."""
