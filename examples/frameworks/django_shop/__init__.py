"""A Django project as small as they come; what is otelmon's is in asgi.py."""
