"""Prediction tables to one self-contained HTML page."""
