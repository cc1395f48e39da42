"""The papers' models and their controls, by name."""
