"""Readers of audio, video and EEG files: bytes to arrays, and nothing else."""
