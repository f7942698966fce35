"""Collect.

In:    OTel SDK metrics data, the request recorder; OTLP requests of other processes.
Out:   samples with Prometheus names; the same metrics data for the OTLP exporter.
Owns:  the metric reader, the one translation of names, temporality.
Never: keeps history, knows rules, sends on the caller's thread.
"""
