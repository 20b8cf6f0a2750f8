"""Tuning: a search over settings, each combination scored by cross-validation within the training rows."""
