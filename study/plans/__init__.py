"""Rules of what is run, compared and judged: `params/*.yaml`, read and checked."""
