"""Runs: made, stored, found, grouped."""
