"""Oncall.

In:    an incident's severity and an instant.
Out:   who is to be mentioned.
Owns:  who is on call.
Never: reads a clock, sends.
"""
