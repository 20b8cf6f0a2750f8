"""Fitting and applying classifiers: a support vector machine and a loop for every network."""
