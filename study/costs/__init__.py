"""Time, memory and size of every network."""
