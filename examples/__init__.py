"""Examples that run: a small shop, and the demo that breaks it."""
