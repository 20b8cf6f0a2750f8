"""Layouts: the recordings of a data set, with their paths, names and labels."""
