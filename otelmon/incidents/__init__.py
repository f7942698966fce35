"""Incidents.

In:    transitions of alerts, requests of people.
Out:   incidents with timelines, and what changed.
Owns:  grouping and acknowledgement, as pure steps.
Never: reads a clock, sends, knows Discord.
"""
