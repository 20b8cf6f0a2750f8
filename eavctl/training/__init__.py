"""Rows to models: cross-validation, and the fitters that it runs."""
