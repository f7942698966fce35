"""Alerts.

In:    a rule, its alerts so far, an Evaluation.
Out:   the alerts now, transitions with reasons, samples to record.
Owns:  the state machine of one rule, as a pure step.
Never: reads a clock, knows where an Evaluation came from.
"""
