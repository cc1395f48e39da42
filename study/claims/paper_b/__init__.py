"""The claims of paper B."""
