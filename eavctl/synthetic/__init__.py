"""Synthetic recordings, for demonstrations and tests."""
