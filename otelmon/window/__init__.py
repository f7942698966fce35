"""Window.

In:    samples.
Out:   arrays of recent samples, selected by matchers.
Owns:  numpy columns, counter resets, staleness, the cap on series.
Never: reads a clock, does I/O, knows PromQL.
"""
