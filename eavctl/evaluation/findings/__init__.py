"""Findings on a data set: what is wrong or odd with its files, labels, people, recordings and splits."""
