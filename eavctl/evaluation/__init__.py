"""Protocols, checks for leaks, scores and their intervals."""
