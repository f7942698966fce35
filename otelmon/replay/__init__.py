"""Replay.

In:    rule files; series in promtool's notation, or recordings of metrics (OTLP/JSON, OpenMetrics); time is passed in.
Out:   verdicts of rule unit tests, with what differs; what rules would have done with what was recorded.
Owns:  promtool's test files and the notation of their series; the formats of recordings.
Never: reads a clock, pages, keeps state.
"""
