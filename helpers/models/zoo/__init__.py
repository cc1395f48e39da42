"""Comparators of paper B's Table 3."""
