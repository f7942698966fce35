"""Replay.

In:    rule files, and series written out in promtool's notation, with time passed in.
Out:   verdicts of rule unit tests, with what differs.
Owns:  promtool's test files and the notation of their series.
Never: reads a clock, pages, keeps state.
"""
