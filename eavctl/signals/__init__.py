"""Bytes to arrays, and nothing else."""
