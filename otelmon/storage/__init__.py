"""Storage.

In:    alerts, incidents, pages, samples.
Out:   the same, after a restart.
Owns:  the tables, and one transaction for state and outbox.
Never: decides anything.
"""
