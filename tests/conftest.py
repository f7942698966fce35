"""What counts for every test."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is. What an example costs is kept by the number of examples.
settings.register_profile("otelmon", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("otelmon")
