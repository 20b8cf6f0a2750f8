"""Feature sets: pure functions from a signal to float32, each registered under ``features``."""
