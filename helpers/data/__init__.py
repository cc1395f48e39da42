"""Data sets, splits and batch transforms."""
