"""The formats of files on disk: tables, models, and how files are written."""
