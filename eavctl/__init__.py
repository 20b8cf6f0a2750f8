"""Emotion recognition from EEG, audio and video: small commands over Parquet tables and model files."""

__version__ = "0.6.0"
