"""Faults of delivery, against otelmon and Alertmanager: ``python -m tests.benchmarks.delivery``."""
