"""Oncall.

In:    people, schedules and escalation policies, an incident's severity, and an instant.
Out:   who is on call, who is to be mentioned, which escalation step is due; shifts, gaps, reports, calendar feeds.
Owns:  rotations, restrictions, layers, overrides, escalation.
Never: reads a clock, sends.
"""
