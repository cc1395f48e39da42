"""The claims of paper A."""
