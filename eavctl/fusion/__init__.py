"""Several models' opinions to one: each method registered under ``fusers``."""
