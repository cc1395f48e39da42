"""The claims of both papers: what is claimed, how it is checked, what became of it."""
