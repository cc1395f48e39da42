"""How well maps find the lesion."""
