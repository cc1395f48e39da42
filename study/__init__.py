"""What two papers say, and what became of it."""
