"""Recordings and a model to class probabilities."""
