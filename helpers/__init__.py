"""Tested parts of the notebooks: data, models, training, statistics, results."""
