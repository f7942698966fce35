"""A small FastAPI shop, watched by otelmon."""
