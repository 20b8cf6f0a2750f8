"""Recordings to features: what is computed, on which recordings, in which processes."""
