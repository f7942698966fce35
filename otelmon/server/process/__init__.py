"""What is done with metrics that came in over OTLP, before rules see them and before they go on.

In:    an ExportMetricsServiceRequest, the steps of ``process:``.
Out:   the request without what is dropped, renamed, redacted; counts of it.
Owns:  what each step means; which metrics have too many series, and by which label.
Never: touches a byte where there are no steps, reads a clock, knows where the request came from or goes.
"""
