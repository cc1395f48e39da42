"""Figures of comparisons.

As in `helpers.plots`, functions draw into the axes they are given, within `style.style()`.
"""
