"""Rules that were fixed before results: `params/*.yaml`, read and checked."""
