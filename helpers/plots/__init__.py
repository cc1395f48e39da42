"""Figures of data and of runs."""
