"""Classifiers: a support vector machine, and the training loop of all networks."""
